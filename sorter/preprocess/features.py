"""Hand-made features of polar pictures that neither a turn about the beam nor the fluence changes."""

from __future__ import annotations

import torch
from torch import Tensor

N_HARMONICS = 12
N_BANDS = 8


def ring_means(picture: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of each ring of (B, R, T): (B, R); 0 where a ring has no weight."""
    return (picture * weight).sum(-1) / weight.sum(-1).clamp_min(1e-6)


def rotation_invariant_features(picture: Tensor, weight: Tensor) -> Tensor:
    """Radial profile and angular amplitudes, (B, R + N_BANDS * N_HARMONICS) float32.

    picture, weight (B, R, T) as of `log_scaled`. First the ring means; then, for each of N_BANDS radial bands, the amplitude
    of the angular harmonics 1..N_HARMONICS of what is left after the ring mean is taken away (cells without weight count as
    at the mean), averaged over the band's rings and on a logarithmic scale.
    """
    profile = ring_means(picture, weight)
    rest = (picture - profile[..., None]) * (weight > 0)
    amplitude = torch.fft.rfft(rest, dim=-1, norm="forward").abs()[..., 1 : N_HARMONICS + 1]
    bands = torch.stack([part.mean(1) for part in amplitude.tensor_split(N_BANDS, dim=1)], dim=1)
    return torch.cat([profile, torch.log1p(10 * bands).flatten(1)], dim=1)
