"""The shipped encoder: sorts a run it has never seen, whatever the size, mask, unit and geometry of its frames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sorter.core.errors import InputError
from sorter.core.frames import ArrayFrameStore
from sorter.core.geometry import Geometry
from sorter.embed.encode import encode
from sorter.models.pretrained import SHIPPED, load_pretrained, save_pretrained
from tests.workfolders import GEOMETRY, bad_pixels, make_frames

USUAL_PX = 65


def embed(store: ArrayFrameStore) -> np.ndarray:
    model, polar = load_pretrained().for_store(store)
    return encode(store, polar, model)[1]


def rings(side: int, n: int = 12, photons: float = 1e6, seed: int = 0) -> np.ndarray:
    """Frames of the same smooth patterns on a detector of any number of pixels."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:side, :side] - (side - 1) / 2) / (side / 2)
    r, phi = np.hypot(y, x), np.arctan2(y, x)
    frames = []
    for i in range(n):
        rate = np.exp(-4 * r) * (1 + np.cos(12 * r * (1 + i / n))) * (1 + 0.8 * np.cos((i % 4 + 1) * (phi - i)))
        frames.append(rng.poisson(photons * rate / rate.sum()))
    return np.array(frames, np.int32)


def make_store(frames: np.ndarray, bad: np.ndarray | None = None, unit: str = "photon", **geometry) -> ArrayFrameStore:
    side = frames.shape[1]
    middle = ((side - 1) / 2, (side - 1) / 2)
    geometry = {"pixel_size_m": 0.04 / side, "distance_m": 0.035, "wavelength_m": 13.5e-9} | geometry
    return ArrayFrameStore(
        frames, bad_pixels=bad, geometry=Geometry((side, side), beam_center_px=middle, **geometry), unit=unit
    )


def test_masked_pixels_never_change_the_embedding() -> None:
    frames = make_frames(np.arange(9) % 3, np.full(9, 5000.0), np.random.default_rng(0)).astype(np.float32)
    reference = embed(ArrayFrameStore(frames, bad_pixels=bad_pixels(), geometry=GEOMETRY))
    for junk in (0.0, 1e6, -5.0):
        spoiled = np.where(bad_pixels(), np.float32(junk), frames)
        np.testing.assert_array_equal(
            embed(ArrayFrameStore(spoiled, bad_pixels=bad_pixels(), geometry=GEOMETRY)), reference
        )


@pytest.mark.parametrize("side", [96, 256])
def test_the_number_of_pixels_hardly_matters(side: int) -> None:
    """The same pattern on 128, 96 or 256 pixels: its nearest neighbour among the others is itself."""
    usual, other = embed(make_store(rings(128))), embed(make_store(rings(side, seed=1)))
    similarity = other @ usual.T
    assert (similarity.argmax(1) == np.arange(len(usual))).mean() > 0.8
    assert np.diag(similarity).mean() > 0.9


def test_photons_in_other_units_are_scaled() -> None:
    photons = embed(make_store(rings(128)))
    adu = embed(make_store(rings(128) * np.float32(23.0), unit="adu"))
    assert np.diag(photons @ adu.T).mean() > 0.8


def test_a_turn_of_the_frame_changes_little() -> None:
    frames = rings(128)
    turned = embed(make_store(np.rot90(frames, axes=(1, 2)).copy()))
    assert np.diag(embed(make_store(frames)) @ turned.T).mean() > 0.98


def test_wider_detectors_are_read_as_far_as_was_trained_and_unknown_distances_are_said(caplog) -> None:
    caplog.set_level("INFO", logger="sorter")
    encoder = load_pretrained()
    near = encoder.for_store(make_store(rings(128)))[0].grid
    wide = encoder.for_store(make_store(rings(128), distance_m=0.01))[0].grid
    assert near.outer_px == pytest.approx(USUAL_PX, abs=1) and wide.outer_px < 0.6 * near.outer_px
    assert "what lies beyond is left out" in caplog.text
    unknown = encoder.for_store(make_store(rings(128), distance_m=None))[0].grid
    assert unknown == near and "distance or pixel size not known" in caplog.text
    half = np.zeros((128, 128), bool)
    half[:, 64:] = True
    assert np.isfinite(embed(make_store(rings(128), bad=half))).all()


def test_files_that_are_no_weights_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such weights"):
        load_pretrained(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(InputError, match="not weights of shotsort"):
        load_pretrained(tmp_path / "text.safetensors")
    encoder = load_pretrained()
    save_pretrained(tmp_path / "newer.safetensors", encoder.network, encoder.meta | {"schema_version": 99})
    with pytest.raises(InputError, match="update shotsort"):
        load_pretrained(tmp_path / "newer.safetensors")
    network = replace(encoder.network.config, projection_dim=7)
    encoder.network.config = network
    save_pretrained(tmp_path / "wrong.safetensors", encoder.network, encoder.meta)
    with pytest.raises(InputError, match="do not fit"):
        load_pretrained(tmp_path / "wrong.safetensors")


def test_what_is_shipped_is_small_and_has_a_card() -> None:
    assert SHIPPED.stat().st_size < 6e6
    card, meta = SHIPPED.with_suffix(".md").read_text(), load_pretrained().meta
    assert f"--steps {meta['config']['steps']}" in card and "shotsort pretrain" in card
    assert meta["without"] == []
