"""Layers on complex tensors kept as (B, 2, C, nz, ny, nx), real and imaginary part."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def joined(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A real ``function`` of volumes (B, C, nz, ny, nx) on both parts."""
    return function(x.flatten(0, 1)).unflatten(0, (-1, 2))


class ComplexConv(nn.Module):
    """(a + ib)(x + iy) = (a x - b y) + i (b x + a y), as one real convolution of twice the channels."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 1) -> None:
        super().__init__()
        made = nn.Conv3d(2 * inputs, outputs, kernel).weight.detach()
        self.real, self.imaginary = (nn.Parameter(part.clone()) for part in made.split(inputs, 1))
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2, C, ...) -> (B, 2, C', ...)."""
        weight = torch.cat([torch.cat([self.real, -self.imaginary], 1), torch.cat([self.imaginary, self.real], 1)])
        found = functional.conv3d(x.flatten(1, 2), weight, stride=self.stride, padding=self.padding)
        return found.unflatten(1, (2, -1))


class ComplexBlock(nn.Module):
    """Complex convolution, division by the running rms of each channel, and modReLU: the modulus through a shifted ReLU, the
    phase kept (Arjovsky et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, momentum: float = 0.1) -> None:
        super().__init__()
        self.conv = ComplexConv(inputs, outputs, 3, stride)
        self.gain = nn.Parameter(torch.ones(outputs))
        self.offset = nn.Parameter(torch.full((outputs,), -0.1))
        self.register_buffer("power", torch.ones(outputs))
        self.momentum = momentum

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2, C, ...) -> (B, 2, C', ...)."""
        x = self.conv(x)
        if self.training:
            power = x.square().sum(1).mean((0, 2, 3, 4))
            self.power.lerp_(power.detach(), self.momentum)
        else:
            power = self.power
        x = x * (self.gain * (power + 1e-6).rsqrt())[:, None, None, None]
        modulus = (x.square().sum(1, keepdim=True) + 1e-6).sqrt()
        return x * (functional.relu(modulus + self.offset[:, None, None, None]) / modulus)
