"""Pointing and blur: what moves or smears an intensity on the detector."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def shift_images(images: Tensor, shift_px: Tensor) -> Tensor:
    """Move each of the (B, ny, nx) images by its own (dy, dx), (B, 2) pixels, bilinear; the edge value is repeated outside.

    An image moved by a positive dy shows its content at a larger row.
    """
    return _resample(images, torch.zeros(len(images), device=images.device), shift_px)


def rotate_images(images: Tensor, angle_rad: Tensor, shape_px: tuple[int, int]) -> Tensor:
    """Turn each of the (B, my, mx) images about its middle by its own angle, (B,), from +x towards +y, bilinear, and cut out the
    central (ny, nx) = shape_px."""
    zeros = torch.zeros(len(images), 2, device=images.device)
    return _resample(images, angle_rad, zeros, shape_px)


def _resample(images: Tensor, angle_rad: Tensor, shift_px: Tensor, shape_px: tuple[int, int] | None = None) -> Tensor:
    my, mx = images.shape[1:]
    ny, nx = shape_px or (my, mx)
    y = torch.arange(ny, dtype=torch.float32, device=images.device) - (ny - 1) / 2
    x = torch.arange(nx, dtype=torch.float32, device=images.device) - (nx - 1) / 2
    y = y[None, :, None] - shift_px[:, 0, None, None].float()
    x = x[None, None, :] - shift_px[:, 1, None, None].float()
    cos, sin = torch.cos(angle_rad).float()[:, None, None], torch.sin(angle_rad).float()[:, None, None]
    source = torch.stack([(cos * x + sin * y) * (2 / (mx - 1)), (cos * y - sin * x) * (2 / (my - 1))], -1)
    return functional.grid_sample(images[:, None], source, padding_mode="border", align_corners=True)[:, 0]


def blur_images(images: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of (B, ny, nx) images with standard deviation sigma_px, separable, cut at 4 sigma; mirrored at the edges.

    A constant image stays constant.
    """
    if sigma_px <= 0:
        return images
    reach = min(max(1, math.ceil(4 * sigma_px)), min(images.shape[1:]) - 1)
    offset = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-((offset / sigma_px) ** 2) / 2)
    kernel = kernel / kernel.sum()
    stack = functional.pad(images[:, None], (reach, reach, reach, reach), mode="reflect")
    stack = functional.conv2d(stack, kernel.view(1, 1, -1, 1))
    return functional.conv2d(stack, kernel.view(1, 1, 1, -1))[:, 0]
