import numpy as np
import pytest

from sim.detector.stielow import FILTERS, apply_filter, filter_counts
from sorter.core.errors import InputError

IMAGE = np.random.default_rng(0).random((64, 64)) * 0.5 + np.eye(64) * 0.5


def test_there_are_eleven_filters():
    assert len(FILTERS) == 11


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_keeps_shape_and_range_and_depends_on_its_stream(name):
    one, again, other = (apply_filter(IMAGE, name, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == IMAGE.shape and one.min() >= 0 and one.max() <= 1 + 1e-9
    assert np.array_equal(one, again)
    assert np.array_equal(one, other) == (name == "identity")


def test_filters_do_what_their_names_say():
    rng = np.random.default_rng(3)
    assert np.array_equal(apply_filter(IMAGE, "identity", rng), IMAGE)
    hole = apply_filter(IMAGE, "central_hole", rng)
    assert not hole[31:33, 31:33].any() and np.array_equal(hole[0], IMAGE[0])
    crop = apply_filter(IMAGE, "center_crop", rng)
    assert (crop == 0).any() and np.array_equal(crop[28:36, 28:36], IMAGE[28:36, 28:36])
    salt = apply_filter(IMAGE, "salt_and_pepper", rng)
    changed = salt != IMAGE
    assert set(np.unique(salt[changed])) <= {IMAGE.min(), IMAGE.max()}
    uneven = apply_filter(IMAGE, "uneven_sensitivity", rng) / IMAGE
    assert len(np.unique(uneven.round(9))) == 2
    assert apply_filter(IMAGE, "gaussian_blur", rng).std() < IMAGE.std()
    noisy = apply_filter(np.full((64, 64), 0.5), "uniform_noise", rng) - 0.5
    assert 0 < np.abs(noisy).max() <= 0.25


def test_counts_go_through_the_grey_image_and_back():
    counts = np.random.default_rng(0).poisson(20, (32, 32)).astype(np.uint16)
    assert np.array_equal(filter_counts(counts, "identity", np.random.default_rng(0)), counts)
    assert filter_counts(counts, "gaussian_blur", np.random.default_rng(0)).dtype == np.uint16
    empty = np.zeros((8, 8), np.uint16)
    assert filter_counts(empty, "jitter", np.random.default_rng(0)) is empty


def test_unknown_filter_is_refused():
    with pytest.raises(InputError, match="filters are"):
        apply_filter(IMAGE, "sharpen", np.random.default_rng(0))
