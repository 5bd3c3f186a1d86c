"""The networks: `SpeckleNet` (small, for a CPU) and `ResNet50` (the paper's)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recon.speckle.pattern import MAPS, STATISTICS, FormAndStructure


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class _Perturb(nn.Module):
    """Dropout and Gaussian noise on features of unit variance while training: few patterns must do for many features."""

    def __init__(self, dropout: float, noise: float) -> None:
        super().__init__()
        self.dropout, self.noise = dropout, noise

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return nn.functional.dropout(x + self.noise * torch.randn_like(x), self.dropout)


class SpeckleNet(nn.Module):
    """Patterns (B, n, n) float32, standardised, n >= side -> logits (B, classes).

    `split` (fixed physics) takes the pattern apart; a small convolutional network looks at the map of distances, its channels
    are averaged over the map after each stage (peaks are counted, wherever they lie), and a perceptron joins these counts with
    the histograms and the radial curves. width 0 leaves the convolutions out; hidden: units of the perceptron's first layer,
    maps: whose histograms it sees (of `recon.speckle.pattern.MAPS`).
    """

    def __init__(
        self, n_classes: int, side: int = 256, width: int = 8, hidden: int = 192, maps: tuple[str, ...] = MAPS
    ) -> None:
        super().__init__()
        self.split = FormAndStructure(side, maps=maps)
        self.smallest_px = side
        widths = (width, 4 * width, 4 * width)
        shapes = [(2, width, 4, 2), (width, 4 * width, 3, 2), (4 * width, 4 * width, 3, 1)] if width else []
        self.stages = nn.ModuleList(_block(*shape) for shape in shapes)
        self.form = nn.Sequential(
            nn.BatchNorm1d(3 * self.split.rings), _Perturb(0.2, 0.1), nn.Linear(3 * self.split.rings, 64), nn.ReLU()
        )
        features = 2 * sum(widths) + len(maps) * STATISTICS + 64
        self.head = nn.Sequential(
            nn.BatchNorm1d(features), _Perturb(0.05, 0.1), nn.Linear(features, hidden), nn.ReLU(),
            nn.Dropout(0.1), nn.Linear(hidden, hidden // 2), nn.ReLU(), nn.Linear(hidden // 2, n_classes),
        )  # fmt: skip

    def forward(self, patterns: Tensor) -> Tensor:
        """See the class."""
        return self.classify(*self.split(patterns))

    def classify(self, form: Tensor, statistics: Tensor, structure: Tensor) -> Tensor:
        """Logits from what `split` gives; used on its own when the split is computed once and seen several times."""
        image = torch.cat([structure / 4, torch.log1p(structure)], 1)
        found = [self.form(form.flatten(1)), statistics]
        for stage in self.stages:
            image = stage(image)
            found += [torch.log(image.mean((2, 3)) + 1e-3), torch.log(image.square().mean((2, 3)) + 1e-3)]
        return self.head(torch.cat(found, 1))


class _Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions with a short cut (He et al., CVPR 2016, figure 5)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.path = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.short = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.short(x))


class ResNet50(nn.Module):
    """ResNet-50 (He et al., CVPR 2016, table 1) for one channel: patterns (B, n, n) of any size -> logits (B, classes)."""

    smallest_px = 32

    def __init__(self, n_classes: int, width: int = 64, blocks: tuple[int, ...] = (3, 4, 6, 3)) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(1, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        ]  # fmt: skip
        inputs = width
        for number, count in enumerate(blocks):
            for place in range(count):
                layers.append(_Bottleneck(inputs, width << number, 2 if number and place == 0 else 1))
                inputs = 4 * (width << number)
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, n_classes)

    def forward(self, patterns: Tensor) -> Tensor:
        """See the class."""
        return self.head(self.body(patterns[:, None]).mean((2, 3)))
