"""What is shipped sorts a run that it has never seen, without training on it."""

import pytest

from apps.cli.__main__ import main
from sim.run import simulate
from sorter.core.errors import InputError
from sorter.io.workfolder import WorkFolder
from sorter.stages.cluster import ClusterConfig, cluster
from sorter.stages.embed import EmbedConfig, embed
from sorter.stages.evaluate import evaluate
from sorter.stages.hits import find_hits
from sorter.stages.ingest import ingest

OPTIONS = {
    "blank_fraction": 0.1, "fluence.min_photons": 3e4, "layout.n_px": 96, "layout.two_theta_edge_deg": 27.0,
    "detector.panels": [2, 2], "detector.gap_px": 4, "detector.beam_stop_radius_px": 4.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> WorkFolder:
    """600 frames of ten kinds on another detector than the usual one."""
    folder = tmp_path_factory.mktemp("pretrained")
    simulate("clusters", 600, 31, folder / "run.h5", OPTIONS, workers=1)
    ingest(folder / "run.h5", folder / "run.work")
    find_hits(folder / "run.work")
    return WorkFolder.open(folder / "run.work")


def test_kinds_lie_apart_without_training_on_the_run(work: WorkFolder) -> None:
    embed(work)
    cluster(work, ClusterConfig())
    figures = evaluate(work)
    assert figures["embedding"] == "pretrained" and work.model_names() == []
    assert figures["bright_ari"] > 0.6 and figures["bright_purity"] > 0.75
    assert figures["knn_balanced_accuracy"]["5"] > 0.75


def test_weights_belong_to_the_pretrained_encoder(work: WorkFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="give --model pretrained"):
        EmbedConfig(model="features", weights="mine.safetensors")
    assert main(["embed", str(work.path), "--weights", "none.safetensors"]) == 2
    assert "none.safetensors: no such weights" in capsys.readouterr().err
