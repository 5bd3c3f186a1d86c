"""The report as a person's browser reads it."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from apps.cli.__main__ import main
from apps.report import report
from sorter.core.clustering import Clustering
from sorter.core.embedding import Embedding
from sorter.core.errors import WorkFolderError
from sorter.core.hits import Hits
from sorter.core.manifest import RunManifest
from sorter.curate.label_book import LabelBook
from sorter.io.workfolder import WorkFolder
from tests.workfolders import make_work_folder

VOID = {"meta", "img", "br", "input", "link", "hr"}
SVG_EMPTY = {"path", "use", "image", "rect", "circle"}


class Page(HTMLParser):
    """Tags, attributes and text; checks that elements nest."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open[-1:]:
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text))

    def ids(self) -> list[str]:
        return [a["id"] for t, a in self.tags if "id" in a]

    def sections(self) -> list[str]:
        return [a["id"] for t, a in self.tags if t == "section"]

    def pictures(self) -> list[str]:
        return [a["src"] for t, a in self.tags if t == "img"]


def read(work: WorkFolder) -> Page:
    return Page(report(work).read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    work = make_work_folder(tmp_path_factory.mktemp("report"))
    report(work)
    return work


@pytest.fixture(scope="module")
def page(made):
    return Page(made.report_path.read_text())


def test_tells_the_headline_figures(made, page):
    hits, clustering = made.read_hits(), made.read_clustering("density")
    noise = 100 * (clustering.labels < 0).mean()
    for words in ("300frames", f"{hits.is_hit.sum()}hits", "3clusters", f"{noise:.1f} %of the hits are noise"):
        assert words in page.words, words


def test_has_every_section(page):
    assert page.sections() == [
        "glance", "detector", "layout", "clusters", "noise", "threshold", "truth", "recorded", "parameters", "next",
    ]  # fmt: skip


def test_links_of_the_page_lead_somewhere_and_ids_of_sections_are_unique(page):
    ids = page.ids()
    targets = [a["href"][1:] for t, a in page.tags if t == "a"]
    assert targets and set(targets) <= set(ids)
    own = [i for i in ids if not re.fullmatch(r"[mphC][0-9a-f_]+|image.*|.*[0-9a-f]{8,}.*", i)]
    assert len(own) == len(set(own))


def test_each_cluster_has_a_card_with_its_medoid_first(made, page):
    clustering = made.read_clustering("density")
    for group in range(clustering.n_clusters):
        assert f"cluster-{group}" in page.ids()
        assert f"{len(clustering.members(group))} frames" in page.words
    titles = [
        a["title"]
        for t, a in page.tags
        if t == "span" and "large" in (a.get("class") or "") and "frame_id" in a["title"]
    ]
    medoids = [int(re.search(r"frame_id (\d+)", t).group(1)) for t in titles]
    assert medoids == clustering.medoids.tolist()


def test_examples_belong_to_their_group(made):
    clustering = made.read_clustering("density")
    source = made.report_path.read_text()
    for group in range(clustering.n_clusters):
        card = source[source.index(f'id="cluster-{group}"') :].split("</article>")[0]
        shown = {int(i) for i in re.findall(r"frame_id (\d+)", card)}
        assert len(shown) == 13 and shown <= set(clustering.members(group).tolist())
    noise = source[source.index('id="noise"') :].split("</article>")[0]
    assert {int(i) for i in re.findall(r"frame_id (\d+)", noise)} <= set(clustering.members(-1).tolist())


def test_pictures_are_whole_and_show_the_mask(made, page):
    from apps.explorer.colors import MASK_COLOR, rgb

    assert len(page.pictures()) > 40
    for source in page.pictures():
        kind, data = source.split(",", 1)
        assert kind == "data:image/png;base64"
        image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
        assert image.size == (32, 32)
        assert (np.asarray(image)[made.frames().bad_pixels] == rgb(MASK_COLOR)).all()


def test_loads_nothing_from_elsewhere(made, page):
    source = made.report_path.read_text()
    assert "default-src 'none'" in source
    assert not re.search(r"(?:src|href|xlink:href|action|data|poster)\s*=\s*[\"'](?!#|data:image/png)", source)
    assert not re.search(r"https?:|//[a-z]+\.[a-z]|@import|url\((?!#)", source)
    assert not {t for t, _ in page.tags} & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert not [n for _, a in page.tags for n in a if n.startswith("on")]


def test_is_the_same_for_the_same_folder(made):
    before = made.report_path.read_bytes()
    report(made, force=True)
    assert made.report_path.read_bytes() == before


def test_called_again_it_is_up_to_date_until_something_changes(tmp_path):
    work = make_work_folder(tmp_path, n=80)
    first = report(work).stat().st_mtime_ns
    assert report(work.path).stat().st_mtime_ns == first
    LabelBook(work.labels_path, "me").add(work.read_hits().hit_ids[:5], "cube")
    assert report(work).stat().st_mtime_ns != first
    assert [m["stage"] for m in work.manifests()] == ["report", "report"]


def test_confusion_table_counts_every_frame(made, page):
    table = re.search(r'<table class="confusion">.*?</table>', made.report_path.read_text(), re.S).group(0)
    rows = re.findall(r"<tr>(.*?)</tr>", table)[1:]
    totals = [int(re.search(r'class="sum">([\d,]+)', row).group(1).replace(",", "")) for row in rows]
    cells = [[int(c.replace(",", "")) for c in re.findall(r'class">([\d,]+)</td>', row)] for row in rows]
    names = [re.search(r'scope="row">(\w+)', row).group(1) for row in rows]
    truth, counts = np.unique(made.frames().truth["class"], return_counts=True)
    assert dict(zip(names, totals)) == dict(zip(truth.tolist(), counts.tolist()))
    assert [sum(row) for row in cells] == totals


HOSTILE = '<script>alert("x")</script>&\'"><img src=x onerror=alert(1)>'


def test_hostile_words_are_only_words(tmp_path):
    work = make_work_folder(tmp_path / "a&b <b>'\"", classes=("sphere", HOSTILE))
    LabelBook(work.labels_path, "me").add(work.read_clustering("density").members(0), HOSTILE)
    work.write_manifest(RunManifest(HOSTILE.replace("/", ""), {HOSTILE: HOSTILE}, 1, {}, {"warning": HOSTILE}, {HOSTILE: HOSTILE},
                                    HOSTILE, 1.0))  # fmt: skip
    page = read(work)
    assert not [t for t, _ in page.tags if t == "script"]
    assert not [a for _, a in page.tags if any(n.startswith("on") for n in a)]
    assert all(src.startswith("data:image/png;base64,") for src in page.pictures())
    assert page.words.count("<script>") >= 4
    assert "a&b <b>'" in page.words


def test_only_ingested(tmp_path):
    work = make_work_folder(tmp_path, results=False, truth=False)
    shutil.rmtree(work.path / "results.zarr")
    page = read(work)
    assert page.sections() == ["detector", "frames", "recorded", "next"]
    assert "30 of 300 frames" in page.words
    assert "Hits have not been looked for yet" in page.words
    assert "shotsort ingest" in page.words


def test_hits_only(tmp_path):
    page = read(make_work_folder(tmp_path, results=False, truth=False))
    assert page.sections() == ["detector", "frames", "threshold", "recorded", "next"]
    assert "Not clustered yet" in page.words and "shotsort train" in page.words and "measured" in page.words


def test_shows_the_frames_on_either_side_of_the_threshold(made):
    hits = made.read_hits()
    source = made.report_path.read_text()
    part = source[source.index('id="threshold"') :].split("</section>")[0]
    shown = np.array(re.findall(r'title="[^"]*frame_id (\d+)', part), np.uint64)
    score = hits.score[[int(np.flatnonzero(hits.frame_id == i)[0]) for i in shown]]
    assert_array_equal(score[:10], np.sort(hits.score[hits.is_hit])[:10])
    assert_array_equal(score[10:], np.sort(hits.score[~hits.is_hit])[::-1][:10])


def test_no_hits_at_all(tmp_path):
    work = make_work_folder(tmp_path, n=60, classes=(), results=False)
    none = np.empty(0, np.uint64)
    empty = np.empty(0, np.int32)
    work.write_clustering(Clustering("density", none, empty, empty.astype(np.float32), empty, none))
    page = read(work)
    assert "No hits among 60 frames" in page.words
    assert "0clusters" in page.words


def test_all_noise(tmp_path):
    work = make_work_folder(tmp_path, n=60)
    ids = work.read_hits().hit_ids
    noise = np.full(len(ids), -1, np.int32)
    meta = {"embedding": None, "warning": "40 hits are too few to cluster: all are noise (-1)", "sizes": []}
    strength = np.zeros(len(ids), np.float32)
    work.write_clustering(Clustering("density", ids, noise, strength, noise, np.empty(0, np.uint64), meta=meta))
    page = read(work)
    assert "too few to cluster" in page.words and "100 %of the hits are noise" in page.words
    assert "noise" in page.sections() and "clusters" not in page.sections()


def test_one_population_is_said_to_be_one(tmp_path):
    work = make_work_folder(tmp_path, n=80, classes=("sphere",))
    made = work.read_clustering("density")
    values = {name: getattr(made, name) for name in ("name", "frame_id", "labels", "strength", "assigned", "medoids")}
    work.write_clustering(Clustering(**values, meta={"one_population": True}))
    assert "one population" in read(work).words


def test_an_estimated_centre_is_said_and_drawn(tmp_path):
    import zarr

    work = make_work_folder(tmp_path, n=60)
    group = zarr.open_group(work.frames_path, mode="a")
    info = dict(group.attrs["shotsort"])
    info["geometry"] |= {"beam_center_source": "estimated", "beam_center_error_px": 0.8, "wavelength_m": None}
    group.attrs["shotsort"] = info
    page = read(work)
    assert "was estimated from the frames to within 0.8 px" in page.words
    assert "± 0.8 px" in page.words and "in pixels, not in q: wavelength not known" in page.words
    assert "distance from the beam centre (px)" in page.words


def test_stale_clusters_are_said_to_be_stale(tmp_path):
    work = make_work_folder(tmp_path, n=80)
    hits = work.read_hits()
    fewer = hits.is_hit & (np.arange(len(hits.is_hit)) > 20)
    work.write_hits(Hits(hits.frame_id, hits.photons, hits.score, fewer, 2.0))
    assert "have changed since they were clustered" in read(work).words


def test_a_damaged_label_book_is_named_and_the_rest_is_there(tmp_path):
    work = make_work_folder(tmp_path, n=80)
    work.labels_path.write_bytes(b"no database at all" * 100)
    page = read(work)
    assert "labels.sqlite" in page.words and "clusters" in page.sections()


def test_labels_are_shown_where_they_are(tmp_path):
    work = make_work_folder(tmp_path)
    members = work.read_clustering("density").members(1)
    LabelBook(work.labels_path, "me").add(members[:20], "icosahedron")
    page = read(work)
    assert "20frames labelled" in page.words and "By label (a person's word)" in page.words
    assert f"icosahedron {100 * 20 / len(members):.0f} %" in page.words
    assert "shotsort export" in page.words and "--label icosahedron" in page.words


def put_untrained_factorvae(work: WorkFolder) -> None:
    """A model with its first weights and an embedding whose first latent follows brightness."""
    import torch

    from sorter.models.polar_model import ModelCard, PolarModel, build_network, save_model
    from sorter.preprocess.polar import choose_grid

    store = work.frames()
    grid = choose_grid(store.geometry, store.bad_pixels, 16, 16).to_dict()
    network = {"n_radii": 16, "n_angles": 16, "n_latents": 4}
    torch.manual_seed(0)
    card = ModelCard("factorvae", network, grid, tuple(store.shape_px), "photon", 1.0, True)
    folder = work.model_path("factorvae")
    save_model(folder, PolarModel(card, build_network("factorvae", network)))
    (folder / "curves.csv").write_text("step,loss,kl\n25,100.0,3.0\n50,40.0,2.0\n")
    hits = work.read_hits()
    vectors = np.random.default_rng(0).normal(size=(len(hits.hit_ids), 4)) * [1, 0.5, 0.3, 0.001]
    vectors[:, 0] = hits.score[hits.is_hit]
    work.write_embedding(Embedding("factorvae", hits.hit_ids, vectors.astype(np.float32)))


def test_latents_and_training_curves(tmp_path):
    work = make_work_folder(tmp_path, n=80)
    put_untrained_factorvae(work)
    page = read(work)
    assert (
        "3 of 4 latents are shown" in page.words
        and "latent 0spread" in page.words
        and "brightness: ρ +1.00" in page.words
    )
    assert sum(a.get("alt") == "decoded picture" for _, a in page.tags) == 15
    assert "training" in page.sections() and "factorvae: 50 steps" in page.words


def test_a_model_that_cannot_be_read_is_named(tmp_path):
    work = make_work_folder(tmp_path, n=80)
    put_untrained_factorvae(work)
    (work.model_path("factorvae") / "weights.safetensors").write_bytes(b"nothing")
    (work.model_path("factorvae") / "curves.csv").write_text("step,loss\n25,many\n")
    page = read(work)
    assert "weights.safetensors" in page.words and "clusters" in page.sections() and "training" not in page.sections()


def test_size_is_bounded_however_many_clusters_there_are(tmp_path):
    work = make_work_folder(tmp_path, n=1500, classes=tuple(f"kind{i}" for i in range(70)))
    path = report(work)
    assert path.stat().st_size < 8_000_000
    page = Page(path.read_text())
    assert "70clusters" in page.words and "30 smallest clusters stand in the table only" in page.words


def test_no_frames_is_an_error_for_the_user(tmp_path):
    with pytest.raises(WorkFolderError, match="shotsort ingest"):
        report(WorkFolder.create(tmp_path / "w"))
    with pytest.raises(WorkFolderError, match="no such work folder"):
        report(tmp_path / "nothing")


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    work = make_work_folder(tmp_path, n=60)
    report(work)
    before = work.report_path.read_bytes()
    monkeypatch.setattr("apps.report.build.render", lambda shot: (_ for _ in ()).throw(RuntimeError("stopped")))
    with pytest.raises(RuntimeError):
        report(work, force=True)
    assert work.report_path.read_bytes() == before
    assert [p.name for p in work.path.glob(".report*")] == []


def test_command_line(tmp_path, capsys):
    work = make_work_folder(tmp_path, n=60)
    assert main(["report", str(work.path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["report"] == str(work.report_path) and said["size_bytes"] == work.report_path.stat().st_size
    assert main(["report", str(tmp_path / "nothing")]) == 2
