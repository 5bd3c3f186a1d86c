"""The network of Stielow et al. 2020 (figure 3): a ResNet-34 with tanh on 128 x 128 grey images, five outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Residual blocks and filters of the four stacks.
BLOCKS, FILTERS = (3, 4, 6, 4), (64, 128, 256, 512)


class Block(nn.Module):
    """Two 3 x 3 convolutions whose output is added to the input; a 1 x 1 convolution on the way round where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.around = None if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, ny, nx) -> (B, outputs, ny / stride, nx / stride)."""
        around = x if self.around is None else self.around(x)
        x = torch.tanh(self.first_norm(self.first(x)))
        return torch.tanh(around + self.second_norm(self.second(x)))


class ResNet34Tanh(nn.Module):
    """7 x 7 convolution with stride 2, 2 x 2 max pool, four stacks of residual blocks (the first convolution of each with stride
    2), global average, fully connected layer to five numbers: w (scaled), x, y, z, radius (scaled)."""

    def __init__(self, filters: tuple[int, ...] = FILTERS, blocks: tuple[int, ...] = BLOCKS) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, filters[0], 7, 2, 3)
        self.first_norm = nn.BatchNorm2d(filters[0])
        stacks, inputs = [], filters[0]
        for outputs, count in zip(filters, blocks, strict=True):
            stacks += [Block(inputs, outputs, 2), *(Block(outputs, outputs, 1) for _ in range(count - 1))]
            inputs = outputs
        self.stacks = nn.Sequential(*stacks)
        self.out = nn.Linear(inputs, 5)

    def forward(self, images: Tensor) -> Tensor:
        """Grey images (B, ny, nx) in [0, 1] -> (B, 5)."""
        x = torch.tanh(self.first_norm(self.first(images[:, None])))
        x = self.stacks(nn.functional.max_pool2d(x, 2))
        return self.out(x.mean((2, 3)))
