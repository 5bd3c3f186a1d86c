"""Partial coherence: the measured intensity is the coherent one, blurred (Clark et al. 2012)."""

from __future__ import annotations

import torch
from torch import Tensor

_AXES = (-3, -2, -1)


class GaussianCoherence:
    """A Gaussian mutual coherence function of lengths (3,) in voxels of the object, found along the way.

    The blur multiplies the autocorrelation by exp(-x^2 / 2 length^2); full coherence is an infinite length.
    """

    def __init__(
        self, shape: tuple[int, int, int], device: torch.device | str = "cpu", start_share: float = 1.0
    ) -> None:
        self._place = [torch.fft.fftfreq(n, 1 / n, device=device) for n in shape]
        self._inverse = torch.tensor([1 / (start_share * n) for n in shape], device=device)

    @property
    def lengths_voxels(self) -> tuple[float, ...]:
        """Coherence lengths along the three axes."""
        return tuple((1 / self._inverse.clamp(min=1e-6)).tolist())

    def blur(self, intensity: Tensor) -> Tensor:
        """Intensities (B, nz, ny, nx) as they are measured, in the order of the FFT."""
        return self._blurred(intensity, self._inverse)

    def _blurred(self, intensity: Tensor, inverse: Tensor) -> Tensor:
        correlation = torch.fft.ifftn(intensity, dim=_AXES)
        for axis, (place, scale) in enumerate(zip(self._place, inverse, strict=True)):
            window = torch.exp(-0.5 * (place * scale) ** 2)
            correlation = correlation * window.view([-1 if a == axis else 1 for a in range(3)])
        return torch.fft.fftn(correlation, dim=_AXES).real.clamp(min=0)

    def update(self, intensity: Tensor, amplitude: Tensor, known: Tensor | None, steps: int = 4) -> None:
        """Fit the lengths to ``amplitude`` for the coherent ``intensity`` (nz, ny, nx) of an object, by gradients."""
        weight = 1.0 if known is None else known.float()
        inverse = self._inverse.clone().requires_grad_(True)
        optimiser = torch.optim.LBFGS([inverse], max_iter=steps, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimiser.zero_grad()
            found = (self._blurred(intensity, inverse) + 1e-12).sqrt()
            value = (weight * (found - amplitude) ** 2).sum() / (weight * amplitude**2).sum()
            value.backward()
            return value

        optimiser.step(loss)
        found = inverse.detach().abs()
        if bool(torch.isfinite(found).all()):
            self._inverse = found
