"""The small network: circular convolutions on polar maps, read out so that the answer turns with the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from recon.shape.polar import ANGLES, RINGS
from recon.shape.solids import MAX_RADIUS_NM, MIN_RADIUS_NM, Solid

_STEPS = 4
_DEEP = 128
_MIDDLE_NM, _HALF_NM = (MAX_RADIUS_NM + MIN_RADIUS_NM) / 2, (MAX_RADIUS_NM - MIN_RADIUS_NM) / 2


class Circular(nn.Module):
    """Convolution with batch norm, wrapping around the azimuth (last axis)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=(self.reach, 0), bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, rings, angles) -> (B, outputs, rings / stride, angles / stride)."""
        x = torch.cat([x[..., -self.reach :], x, x[..., : self.reach]], -1) if self.reach else x
        return self.norm(self.conv(x))


class Trunk(nn.Module):
    """Maps (B, 2, RINGS, ANGLES) -> features (B, 128, ANGLES / 4) along the azimuth; in half precision while it is trained."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.rings = nn.BatchNorm1d(RINGS)
        wide = 3 * width
        self.first = Circular(2, width, 5, (2, 2))
        self.second = Circular(width, 2 * width, 3, (2, 1))
        self.third = Circular(2 * width, wide, 3, (2, 2))
        self.more = Circular(wide, wide, 3)
        self.column = nn.Conv2d(wide, _DEEP, (RINGS // 8, 1), bias=False)
        self.column_norm = nn.BatchNorm2d(_DEEP)
        self.along = nn.Conv1d(_DEEP, _DEEP, 5, padding=2, padding_mode="circular")

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        with torch.autocast(maps.device.type, torch.bfloat16, enabled=self.training):
            return self._features(maps).float()

    def _features(self, maps: Tensor) -> Tensor:
        contrast, share = maps.unbind(1)
        x = torch.stack([self.rings(contrast) * share, share], 1)
        x = functional.relu(self.first(x))
        x = functional.relu(self.second(x))
        x = functional.relu(self.third(x))
        x = functional.relu(x + self.more(x))
        x = functional.relu(self.column_norm(self.column(x)))[:, :, 0]
        return functional.relu(x + self.along(x))


class Steerable(nn.Module):
    """Coefficients (see `recon.shape.harmonics`) read out of features along the azimuth: c_m = mean of g_m(phi) exp(i m phi).

    When the features turn about the beam, so do the coefficients.
    """

    def __init__(self, degrees: Sequence[int]) -> None:
        super().__init__()
        orders, partners, signs = [], [], []
        for degree in degrees:
            start = len(orders)
            orders += [0, *range(1, degree + 1), *range(1, degree + 1)]
            cosines, sines = (range(start + 1 + k * degree, start + 1 + (k + 1) * degree) for k in (0, 1))
            partners += [start, *sines, *cosines]
            signs += [0, *[-1] * degree, *[1] * degree]
        angles = ANGLES // _STEPS
        phase = torch.tensor(orders)[:, None] * torch.arange(angles) * (2 * torch.pi / angles)
        self.maps = nn.Conv1d(_DEEP, len(orders), 1)
        self.register_buffer("partners", torch.tensor(partners, dtype=torch.int64), persistent=False)
        self.register_buffer("even", torch.cos(phase), persistent=False)
        self.register_buffer("odd", torch.sin(phase) * torch.tensor(signs)[:, None], persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, 128, angles) -> (B, sum of 2 degree + 1)."""
        maps = self.maps(features)
        return (maps * self.even + maps[:, self.partners] * self.odd).mean(2)


@dataclass(frozen=True)
class Answer:
    """Of B frames and K solids: logits (B, K); radius_nm (B, K); coefficients, one (B, size) per solid; log_radius_error (B, K),
    log of the standard deviation in nm / 65; log_turn_error (B, K), log of that of a coefficient."""

    logits: Tensor
    radius_nm: Tensor
    coefficients: list[Tensor]
    log_radius_error: Tensor
    log_turn_error: Tensor

    @property
    def radius_error_nm(self) -> Tensor:
        """(B, K) standard error of the radius, not calibrated."""
        return torch.exp(self.log_radius_error.double()) * _HALF_NM

    def turn_error_rad(self, number: int, solid: Solid) -> Tensor:
        """(B,) standard error of the orientation as solid ``number``, root of the sum over three axes, not calibrated."""
        if not solid.harmonics.size:
            return torch.zeros(len(self.logits), dtype=torch.float64)
        per_axis = solid.harmonics.angle_per_length() * torch.exp(self.log_turn_error[:, number].double())
        return (3**0.5 * per_axis).clamp_max(torch.pi)


class ShapeNet(nn.Module):
    """Which of ``solids``, how large, which way round, and how sure of it."""

    def __init__(self, solids: Sequence[Solid], width: int = 16) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        self.sizes = [s.harmonics.size for s in solids]
        self.steerable = Steerable([d for s in solids for d in s.harmonics.degrees]) if sum(self.sizes) else None
        self.same = nn.Sequential(nn.Linear(2 * _DEEP, _DEEP), nn.ReLU(), nn.Linear(_DEEP, 4 * len(solids)))

    def forward(self, maps: Tensor) -> Answer:
        """Maps (B, 2, RINGS, ANGLES) -> answers."""
        features = self.trunk(maps)
        pooled = self.same(torch.cat([features.mean(2), features.amax(2)], 1))
        logits, size, size_error, turn_error = pooled.chunk(4, 1)
        turned = features.new_zeros(len(maps), 0) if self.steerable is None else self.steerable(features)
        blocks = list(turned.split(self.sizes, 1))
        return Answer(logits, _MIDDLE_NM + _HALF_NM * size, blocks, size_error - 3, turn_error - 3)


class DenseNet(nn.Module):
    """The same trunk, read out by one fully connected layer: for comparing representations of the orientation."""

    def __init__(self, outputs: int, width: int = 16) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        self.out = nn.Linear(_DEEP * ANGLES // _STEPS, outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, 2, RINGS, ANGLES) -> (B, outputs)."""
        return self.out(self.trunk(maps).flatten(1))
