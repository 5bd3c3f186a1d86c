"""Thumbnails, colours and the HTML of the panels."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from apps.explorer import frame_panels, panels
from apps.explorer.coloring import colorings
from apps.explorer.colors import BASE, COUNTS, MASK_COLOR, by_quantity, category_color, ramp, rgb
from apps.explorer.labelling import Labelling
from apps.explorer.thumbnails import CLIP, Thumbnails, brightness, data_url, png, shrunk

HOSTILE = "<script>document.title='x'</script><img src=x onerror=alert(1)>\"'"


def opened(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


@pytest.mark.parametrize("shape", [(32, 32), (50, 33), (7, 90)])
def test_shrunk_is_the_mean_over_good_pixels(shape):
    rng = np.random.default_rng(0)
    frame, bad = rng.poisson(5, shape), rng.random(shape) < 0.3
    values, hidden = shrunk(frame, bad, 16)
    factor = -(-max(shape) // 16)
    for i, j in np.ndindex(values.shape):
        block = (slice(i * factor, (i + 1) * factor), slice(j * factor, (j + 1) * factor))
        good = ~bad[block]
        assert hidden[i, j] == (not good.any())
        if good.any():
            assert values[i, j] == pytest.approx(frame[block][good].mean(), rel=1e-5)


@pytest.mark.parametrize("scale", ["log", "sqrt", "linear"])
def test_brightness_rises_with_counts(scale):
    values = np.linspace(-3, 900, 200, dtype=np.float32).reshape(10, 20)
    out = brightness(values, np.zeros((10, 20), bool), scale, 1.0).ravel()
    assert out.min() == 0 and out.max() == pytest.approx(1) and (np.diff(out) >= 0).all()


def test_log_shows_faint_rings_that_linear_hides():
    frame = np.array([[1e5, 10.0]], np.float32)
    none = np.zeros_like(frame, bool)
    assert brightness(frame, none, "log", 1.0)[0, 1] > 0.15 > 0.01 > brightness(frame, none, "linear")[0, 1]


def test_mask_has_its_own_colour_and_row_0_is_at_the_top():
    frame = np.zeros((20, 30), np.uint16)
    frame[0] = 50
    bad = np.zeros_like(frame, bool)
    bad[-1, :5] = True
    image = opened(png(frame, bad))
    assert image.shape == (20, 30, 3)
    assert tuple(image[-1, 0]) == rgb(MASK_COLOR) and rgb(MASK_COLOR) not in [rgb(c) for c in COUNTS]
    assert tuple(image[0, 0]) == rgb(COUNTS[-1]) and tuple(image[10, 10]) == rgb(COUNTS[0])


@pytest.mark.parametrize("frame", [np.zeros((8, 8)), np.full((8, 8), np.nan), np.full((8, 8), -5.0)])
def test_empty_frames_have_a_picture(frame):
    assert opened(png(frame, np.zeros((8, 8), bool))).shape == (8, 8, 3)


def test_thumbnails_are_read_once(state, monkeypatch):
    reads = []
    store = state.run.store
    real = store.read
    monkeypatch.setattr(store, "read", lambda ids: reads.append(len(ids)) or real(ids))
    thumbnails, wanted = Thumbnails(store), state.run.frame_id[[5, 3, 8]]
    first = thumbnails.urls(wanted)
    assert thumbnails.urls(wanted[::-1]) == first[::-1] and reads == [3]
    picture = base64.b64decode(first[1].partition(",")[2])
    assert first[1] == data_url(png(real(wanted[1:2])[0], store.bad_pixels))
    assert opened(picture).shape == (32, 32, 3)


def test_few_thumbnails_are_kept(state):
    thumbnails = Thumbnails(state.run.store, keep=4)
    assert len(thumbnails.urls(state.run.frame_id[:10])) == 10
    assert len(thumbnails._made) == 4


def test_colours_are_fixed_and_apart():
    assert len(set(BASE)) == len(BASE)
    assert category_color(3) == category_color(3) and category_color(0) != category_color(len(BASE))
    assert ramp(("#000000", "#ffffff"), 3) == ("#000000", "#808080", "#ffffff")


def test_quantity_ignores_what_is_unknown():
    coloring = by_quantity("photons", np.array([np.nan, 1.0, np.inf, 3.0]))
    assert 1 <= coloring.low < coloring.high <= 3
    assert np.isnan(coloring.values[[0, 2]]).all()
    assert by_quantity("flat", np.full(4, 2.0)).high > 2.0 and by_quantity("none", np.array([])).high > 0


def test_colourings_have_one_value_per_point(state):
    found = colorings(state.run, state.labels, Labelling(state).color)
    assert list(found)[:4] == ["cluster", "label", "photons", "strength"]
    assert {"pulse_energy_uj", "truth: class"} <= set(found)
    for make in found.values():
        coloring = make()
        assert len(coloring.values) == len(state.run.layout.frame_id)
        if coloring.names:
            assert len(coloring.palette) >= len(coloring.names)


def all_panels(state):
    coloring = colorings(state.run, state.labels, Labelling(state).color)["label"]()
    rows, labelling = state.page_rows(), Labelling(state)
    return "".join([
        panels.counts(state), panels.views(state), panels.undo_buttons(state), panels.legend(coloring, state, 5),
        panels.clusters(state, ["u"] * state.run.n_clusters, labelling.color), panels.labels(state, labelling),
        panels.selection(state, labelling.color),
        frame_panels.pager(state), frame_panels.thumbs(state, ["u"] * len(rows), labelling.color),
        frame_panels.viewer(state, "log", CLIP, False, state.average(), "mean"),
        panels.export_hint(state), panels.known_labels(state, labelling),
        frame_panels.hover_card(state, int(state.selection.rows[0]), "u"),
    ])  # fmt: skip


def test_a_hostile_label_is_only_text(state):
    state.select_cluster(0)
    state.give_label(HOSTILE)
    state.select_label(HOSTILE)
    state.focus = int(state.selection.rows[0])
    html = all_panels(state)
    assert "&lt;script&gt;" in html and "<script" not in html and "<img src=x" not in html


def test_counts_are_honest(state):
    text = panels.counts(state)
    noise = (state.run.cluster == -1).sum()
    assert (
        f"<b>{noise}</b> noise" in text
        and "<b>300</b> frames" in text
        and f"<b>{state.run.is_hit.sum()}</b> hits" in text
    )


@pytest.mark.parametrize(
    ("label", "option"), [("cube", "--label cube"), ("two words", "--label 'two words'"), ("-x", "--label=-x")]
)
def test_export_command_is_exact(state, label, option):
    state.select_cluster(0)
    state.give_label(label)
    hint = panels.export_hint(state)
    assert f"shotsort export {state.run.work.path} {option} --to ".replace("'", "&#x27;") in hint
    state.undo()
    assert "--cluster=0 --to cluster0.cxi" in panels.export_hint(state)
    state.select_blanks()
    assert "Give a label" in panels.export_hint(state)
