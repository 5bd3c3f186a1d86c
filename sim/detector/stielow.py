"""The eleven image filters of Stielow et al. 2020 (Appendix D): what an experiment does to a pattern.

The paper gives five groups: trivial (the identity), noise (uniform up to half the maximum; salt and pepper), blur (Gaussian of
up to five pixels; jitter), cropping (centre crop, central hole, shift, uneven sensitivity), and successive application (a random
combination of all; all in a well-defined order). Numbers that it does not give are the module's constants.

Filters act on a grey image in [0, 1], as the paper's do: the logarithm of the intensity over its maximum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from sorter.core.errors import InputError

Image = NDArray[np.float64]
Filter = Callable[[Image, np.random.Generator], Image]

#: Largest share of pixels that salt and pepper sets.
MAX_SALT = 0.1
#: Largest Gaussian standard deviation, pixels ("radius of up to five pixels").
MAX_BLUR_PX = 5.0
#: Largest displacement of a pixel by jitter, pixels.
MAX_JITTER_PX = 3.0
#: Smallest side of the centre crop, share of the image.
MIN_CROP = 0.6
#: Smallest and largest radius of the central hole, shares of the image's side.
MIN_HOLE, MAX_HOLE = 0.02, 0.12
#: Largest shift, share of the image's side.
MAX_SHIFT = 0.08
#: Smallest sensitivity of an attenuated part.
MIN_SENSITIVITY = 0.2


def identity(image: Image, rng: np.random.Generator) -> Image:
    """The image as it is."""
    return image


def uniform_noise(image: Image, rng: np.random.Generator) -> Image:
    """Each pixel changed by a uniform number; its range is drawn, up to half the maximum of the signal."""
    amplitude = rng.uniform(0, 0.5 * image.max())
    return np.clip(image + rng.uniform(-amplitude, amplitude, image.shape), 0, 1)


def salt_and_pepper(image: Image, rng: np.random.Generator) -> Image:
    """Random pixels set to the smallest or the largest signal."""
    share = rng.uniform(0, MAX_SALT)
    draw = rng.random(image.shape)
    return np.where(draw < share / 2, image.min(), np.where(draw < share, image.max(), image))


def gaussian_blur(image: Image, rng: np.random.Generator) -> Image:
    """Gaussian blur of a random width of up to five pixels."""
    return gaussian_filter(image, rng.uniform(0, MAX_BLUR_PX), mode="nearest")


def jitter(image: Image, rng: np.random.Generator) -> Image:
    """Each pixel takes its value from a place up to some pixels away."""
    reach = rng.uniform(0, MAX_JITTER_PX)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    moved = [axis + rng.uniform(-reach, reach, image.shape) for axis in (y, x)]
    return map_coordinates(image, moved, order=1, mode="nearest")


def center_crop(image: Image, rng: np.random.Generator) -> Image:
    """Zero outside a central square of random size: a detector that ends earlier."""
    side = rng.uniform(MIN_CROP, 1)
    keep = [np.abs(np.arange(n) - (n - 1) / 2) <= side * n / 2 for n in image.shape]
    return image * (keep[0][:, None] & keep[1][None, :])


def central_hole(image: Image, rng: np.random.Generator) -> Image:
    """Zero within a central disk of random radius: the shadow of the beam dump."""
    radius = rng.uniform(MIN_HOLE, MAX_HOLE) * image.shape[1]
    y, x = (np.arange(n) - (n - 1) / 2 for n in image.shape)
    return image * (np.hypot(y[:, None], x[None, :]) > radius)


def shift(image: Image, rng: np.random.Generator) -> Image:
    """Moved by whole pixels; what comes in is zero."""
    dy, dx = (round(rng.uniform(-MAX_SHIFT, MAX_SHIFT) * n) for n in image.shape)
    out = np.zeros_like(image)
    ny, nx = image.shape
    out[max(dy, 0) : ny + min(dy, 0), max(dx, 0) : nx + min(dx, 0)] = image[
        max(-dy, 0) : ny + min(-dy, 0), max(-dx, 0) : nx + min(-dx, 0)
    ]
    return out


def uneven_sensitivity(image: Image, rng: np.random.Generator) -> Image:
    """One side of a random line through the image is attenuated."""
    angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    y, x = ((np.arange(n) - (n - 1) / 2) / n for n in image.shape)
    side = x[None, :] * np.cos(angle) + y[:, None] * np.sin(angle) > offset
    return image * np.where(side, rng.uniform(MIN_SENSITIVITY, 1), 1.0)


#: The order in which an experiment acts: the source moves, the pattern is smeared, weighed, noisy, cut and has a hole.
ORDER: tuple[Filter, ...] = (
    shift,
    gaussian_blur,
    jitter,
    uneven_sensitivity,
    uniform_noise,
    salt_and_pepper,
    center_crop,
    central_hole,
)


def random_combination(image: Image, rng: np.random.Generator) -> Image:
    """Each of the effects with probability one half, in random order."""
    for number in rng.permutation(len(ORDER)):
        if rng.random() < 0.5:
            image = ORDER[number](image, rng)
    return image


def ordered_combination(image: Image, rng: np.random.Generator) -> Image:
    """All effects in the order in which an experiment has them."""
    for effect in ORDER:
        image = effect(image, rng)
    return image


FILTERS: dict[str, Filter] = {
    effect.__name__: effect
    for effect in (
        identity,
        uniform_noise,
        salt_and_pepper,
        gaussian_blur,
        jitter,
        center_crop,
        central_hole,
        shift,
        uneven_sensitivity,
        random_combination,
        ordered_combination,
    )
}


def apply_filter(image: NDArray, name: str, rng: np.random.Generator) -> Image:
    """Apply the filter ``name`` to a (ny, nx) grey image with values in [0, 1].

    Raises InputError for an unknown filter.
    """
    if name not in FILTERS:
        raise InputError(f"filter {name!r}: unknown; filters are {', '.join(FILTERS)}")
    return FILTERS[name](np.asarray(image, float), rng)


def filter_counts(frame: NDArray, name: str, rng: np.random.Generator) -> NDArray:
    """Apply the filter ``name`` to a (ny, nx) frame of counts, by way of the grey image log(1 + counts) / log(1 + max)."""
    top = np.log1p(float(frame.max()))
    if top == 0:
        return frame
    filtered = np.expm1(apply_filter(np.log1p(frame.astype(float)) / top, name, rng) * top)
    return (np.rint(filtered) if np.issubdtype(frame.dtype, np.integer) else filtered).astype(frame.dtype)
