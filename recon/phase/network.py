"""The networks: magnitudes of a pattern in, object out.

All take magnitudes (B, s, s, s) of unit power with the zero frequency in the middle, s = ``input_side``, and give complex objects
(B, 32, 32, 32), of modulus at most 1.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from recon.phase.complex_layers import ComplexBlock, ComplexConv, joined

_AXES = (-3, -2, -1)


def patterson(magnitude: Tensor) -> Tensor:
    """(B, 2, n, n, n) complex: transforms of intensity and magnitude to real space, 1 in the middle.

    The first is the object's autocorrelation (the Patterson function): it lies in the space of the answer, its outline is twice
    that of the object, its phase tells the strain.
    """
    both = torch.stack([magnitude.square(), magnitude], 1)
    found = torch.fft.fftshift(torch.fft.ifftn(torch.fft.ifftshift(both, _AXES), dim=_AXES), _AXES)
    return found / found.abs().amax(_AXES, keepdim=True).clamp(min=1e-20)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm3d(outputs), nn.LeakyReLU(0.01, inplace=True)
    )


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def _finer(x: Tensor) -> Tensor:
    """(B, 8 c, n, n, n) -> (B, c, 2n, 2n, 2n): eight channels become the eight voxels of a block."""
    b, c, n = x.shape[0], x.shape[1] // 8, x.shape[-1]
    return x.view(b, c, 2, 2, 2, n, n, n).permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c, 2 * n, 2 * n, 2 * n)


class PattersonNet(nn.Module):
    """Small U-net from the Patterson function to the object: support as a sigmoid, phase as a direction in the plane.

    widths at 16^3, 8^3 and 4^3 voxels; the last layer makes the 32^3 of the answer.
    """

    input_side = 32

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128)) -> None:
        super().__init__()
        a, b, c = widths
        self.stem = nn.Conv3d(4, a, 4, 2, 1)
        self.first = _block(a, a)
        self.second = nn.Sequential(_block(a, b, 2), _block(b, b))
        self.third = nn.Sequential(_block(b, c, 2), _block(c, c), _block(c, c))
        self.up_second = nn.Sequential(_block(c + b, b), _block(b, b))
        self.up_first = nn.Sequential(_block(b + a, a), _block(a, a))
        self.last = nn.Conv3d(a, 24, 1)
        nn.init.constant_(self.last.bias[:8], -2.0)  # an object fills little of its field

    def forward(self, magnitude: Tensor) -> Tensor:
        """See the module."""
        found = patterson(magnitude)
        x = self.first(self.stem(torch.cat([found.real, found.imag], 1)))
        y = self.second(x)
        z = _twice(self.third(y))
        y = _twice(self.up_second(torch.cat([z, y], 1)))
        support, real, imaginary = _finer(self.last(self.up_first(torch.cat([y, x], 1)))).unbind(1)
        scale = torch.sigmoid(support) * (real.square() + imaginary.square() + 1e-6).rsqrt()
        return torch.complex(real * scale, imaginary * scale)


class ComplexPattersonNet(nn.Module):
    """`PattersonNet` in complex numbers throughout, after Yu et al. 2024: amplitude and phase stay together in every layer."""

    input_side = 32

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96)) -> None:
        super().__init__()
        a, b, c = widths
        self.stem = ComplexConv(2, a, 4, 2, 1)
        self.first = ComplexBlock(a, a)
        self.second = nn.Sequential(ComplexBlock(a, b, 2), ComplexBlock(b, b))
        self.third = nn.Sequential(ComplexBlock(b, c, 2), ComplexBlock(c, c))
        self.up_second = ComplexBlock(c + b, b)
        self.up_first = ComplexBlock(b + a, a)
        self.last = ComplexConv(a, 8, 1, 1, 0)

    def forward(self, magnitude: Tensor) -> Tensor:
        """See the module. Inside, complex tensors are (B, 2, C, n, n, n): real and imaginary part."""
        found = patterson(magnitude)
        x = self.first(self.stem(torch.stack([found.real, found.imag], 1)))
        y = self.second(x)
        z = joined(self.third(y), _twice)
        y = joined(self.up_second(torch.cat([z, y], 2)), _twice)
        real, imaginary = joined(self.last(self.up_first(torch.cat([y, x], 2))), _finer)[:, :, 0].unbind(1)
        modulus = (real.square() + imaginary.square() + 1e-6).sqrt()
        scale = torch.tanh(modulus) / modulus
        return torch.complex(real * scale, imaginary * scale)


class ChanNet(nn.Module):
    """3D-CDI-NN (Chan et al. 2020, figure 3): an encoder 16^3 x 64, 8^3 x 128, 4^3 x 256, two decoders, for shape and for phase.

    Two convolutions a level (the text gives their number nowhere), ReLU, max pooling of 3 voxels by 2 (the text's window of 3),
    nearest upsampling, dropout of 10 % at the input and after each level.
    """

    input_side = 32

    def __init__(self, widths: tuple[int, ...] = (64, 128, 256), dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Dropout(dropout))
        inputs = 1
        for width in widths:
            self.encoder.extend([*_plain(inputs, width), nn.MaxPool3d(3, 2, 1), nn.Dropout(dropout)])
            inputs = width
        self.shape_decoder = _decoder(widths, dropout)
        self.phase_decoder = _decoder(widths, dropout)
        self.apply(_keep_variance)

    def shape_and_phase(self, magnitude: Tensor) -> tuple[Tensor, Tensor]:
        """Shape (B, 32, 32, 32) in 0..1 and phase in -pi..pi; the input is scaled to a largest magnitude of 1."""
        x = magnitude / magnitude.amax(_AXES, keepdim=True).clamp(min=1e-20)
        code = self.encoder(x[:, None])
        shape = torch.sigmoid(self.shape_decoder(code)[:, 0])
        return shape, torch.pi * torch.tanh(self.phase_decoder(code)[:, 0])

    def forward(self, magnitude: Tensor) -> Tensor:
        """See the module."""
        return torch.polar(*self.shape_and_phase(magnitude))


def _keep_variance(layer: nn.Module) -> None:
    """He et al. 2015: torch's own start shrinks a signal by 0.4 with each ReLU layer, so that 14 of them pass on nothing and the
    answer is the same for every pattern."""
    if isinstance(layer, nn.Conv3d):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)


def _plain(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv3d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv3d(outputs, outputs, 3, padding=1), nn.ReLU(inplace=True),
    ]  # fmt: skip


def _decoder(widths: tuple[int, ...], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = widths[-1]
    for width in reversed(widths):
        layers += [*_plain(inputs, width), nn.Upsample(scale_factor=2, mode="nearest"), nn.Dropout(dropout)]
        inputs = width
    return nn.Sequential(*layers, nn.Conv3d(inputs, 1, 3, padding=1))


class AutoPhaseNet(nn.Module):
    """After AutoPhaseNN (Yao et al. 2022): the full pattern in, convolutions of stride 2, sigmoid amplitude and pi tanh phase
    on half the field. ``threshold``: amplitudes below it are none (the support constraint); training raises it."""

    input_side = 64

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 256)) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.tensor(0.1))
        layers = [_block(1, widths[0])]
        for narrow, wide in pairwise(widths):
            layers += [_block(narrow, wide, 2), _block(wide, wide)]
        layers[-1] = _block(widths[-1], widths[-1], 2)
        self.encoder = nn.Sequential(*layers)
        self.amplitude_decoder = self._decoder(widths)
        self.phase_decoder = self._decoder(widths)

    @staticmethod
    def _decoder(widths: tuple[int, ...]) -> nn.Sequential:
        layers: list[nn.Module] = []
        inputs = widths[-1]
        for width in reversed(widths[:-1]):
            layers += [_block(inputs, width), _block(width, width)]
            layers.append(nn.Upsample(scale_factor=2, mode="trilinear", align_corners=False))
            inputs = width
        return nn.Sequential(*layers, nn.Conv3d(inputs, 1, 3, padding=1))

    def forward(self, magnitude: Tensor) -> Tensor:
        """See the module."""
        code = self.encoder((magnitude / magnitude.amax(_AXES, keepdim=True).clamp(min=1e-20))[:, None])
        amplitude = torch.sigmoid(self.amplitude_decoder(code)[:, 0])
        amplitude = amplitude * (amplitude > self.threshold)
        return torch.polar(amplitude, torch.pi * torch.tanh(self.phase_decoder(code)[:, 0]))


NETWORKS = {"patterson": PattersonNet, "complex": ComplexPattersonNet, "chan": ChanNet, "autophase": AutoPhaseNet}
