"""Hand-made features of polar pictures that neither a turn about the beam, nor mirroring, nor the fluence changes.

All of them come from the Fourier coefficients A_m(r) of each ring over the angle: under a turn by phi A_m gains the phase
exp(-i m phi), so amplitudes |A_m|, products A_m(r) A_m*(r') and bispectra A_i A_j A*_{i+j} do not feel it. Amplitudes say how
strong streaks are, bispectra where they stand to each other (two at right angles, six at 60 degrees, one alone), coherences
whether they run straight outwards.
"""

from __future__ import annotations

import torch
from torch import Tensor

N_BANDS = 4
N_AMPLITUDES = 16
N_COHERENCES = 12
BISPECTRUM_ORDER = 8

#: Pairs (i, j), i <= j, of the bispectra A_i A_j A*_{i+j}.
BISPECTRUM_PAIRS = tuple(
    (i, j) for i in range(1, BISPECTRUM_ORDER) for j in range(i, BISPECTRUM_ORDER) if i + j <= BISPECTRUM_ORDER
)

#: Length of a feature vector.
N_FEATURES = N_BANDS * (N_AMPLITUDES + len(BISPECTRUM_PAIRS) + N_COHERENCES)

#: Blocks are divided by these: their spread over a simulated run (2.3, 2.3, 1.8; root of the total variance) over the
#: weights 1, 0.8, 0.5 that classified best by nearest neighbours on other simulated runs.
_AMPLITUDE_SCALE, _BISPECTRUM_SCALE, _COHERENCE_SCALE = 2.3, 2.9, 3.6


def ring_means(picture: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of each ring of (B, R, T): (B, R); 0 where a ring has no weight."""
    return (picture * weight).sum(-1) / weight.sum(-1).clamp_min(1e-6)


def ring_harmonics(picture: Tensor, weight: Tensor) -> Tensor:
    """Fourier coefficients A_m(r), (B, R, T // 2 + 1) complex, of the rings less their means; cells without weight count as
    at the mean."""
    rest = (picture - ring_means(picture, weight)[..., None]) * (weight > 0)
    return torch.fft.rfft(rest, dim=-1, norm="forward")


def in_bands(values: Tensor, n_bands: int) -> Tensor:
    """Mean of (B, R, ...) over ``n_bands`` groups of neighbouring rings: (B, n_bands, ...)."""
    return torch.stack([part.mean(1) for part in values.tensor_split(n_bands, dim=1)], dim=1)


def bispectra(harmonics: Tensor, n_bands: int) -> Tensor:
    """Real part of A_i A_j A*_{i+j} summed over each band's rings, over the sum of its modulus; (B, n_bands, pairs).

    1 where the three harmonics peak together, -1 where they cancel, near 0 for noise. The real part alone is kept: the
    imaginary one changes sign with mirroring.
    """
    first, second = (torch.tensor(column, device=harmonics.device) for column in zip(*BISPECTRUM_PAIRS))
    product = harmonics[..., first] * harmonics[..., second] * harmonics[..., first + second].conj()
    return in_bands(product.real, n_bands) / (in_bands(product.abs(), n_bands) + 1e-3)


def coherences(harmonics: Tensor, n_bands: int) -> Tensor:
    """|sum of A_m(r) A_m*(r + 1)| over the power, rings of a band; (B, n_bands, N_COHERENCES): 1 for straight streaks."""
    inner, outer = harmonics[:, :-1, 1 : N_COHERENCES + 1], harmonics[:, 1:, 1 : N_COHERENCES + 1]
    power = (inner.abs().square() + outer.abs().square()) / 2
    product = inner * outer.conj()
    cross = torch.hypot(in_bands(product.real, n_bands), in_bands(product.imag, n_bands))
    return cross / (in_bands(power, n_bands) + 2e-3)


def features_of_harmonics(harmonics: Tensor) -> Tensor:
    """The features of `rotation_invariant_features` from `ring_harmonics` (B, R, M): (B, N_FEATURES) float32."""
    blocks = (
        (in_bands(torch.log1p(10 * harmonics[..., 1 : N_AMPLITUDES + 1].abs()), N_BANDS), _AMPLITUDE_SCALE),
        (bispectra(harmonics, N_BANDS), _BISPECTRUM_SCALE),
        (coherences(harmonics, N_BANDS), _COHERENCE_SCALE),
    )
    return torch.cat([(block / scale).flatten(1) for block, scale in blocks], dim=1)


def rotation_invariant_features(picture: Tensor, weight: Tensor) -> Tensor:
    """The features of pictures (B, R, T) and weights as of `log_scaled`: (B, N_FEATURES) float32.

    In N_BANDS radial bands each: amplitudes of the harmonics 1..N_AMPLITUDES on a logarithmic scale, bispectra,
    coherences. T must be at least 2 N_AMPLITUDES.
    """
    return features_of_harmonics(ring_harmonics(picture, weight))
