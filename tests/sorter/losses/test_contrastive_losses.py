"""NT-Xent against a loop."""

import math

import torch
from torch.nn import functional

from sorter.losses.nt_xent import nt_xent


def test_nt_xent_equals_the_triple_loop() -> None:
    first, second = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)).double(), torch.randn(5, 7).double()
    rows = [functional.normalize(row, dim=0) for row in torch.cat([first, second])]
    total = 0.0
    for i in range(10):
        partner = (i + 5) % 10
        below = 0.0
        for k in range(10):
            if k != i:
                below += math.exp(float(rows[i] @ rows[k]) / 0.3)
        total -= math.log(math.exp(float(rows[i] @ rows[partner]) / 0.3) / below)
    torch.testing.assert_close(float(nt_xent(first, second, 0.3)), total / 10, rtol=1e-5, atol=1e-5)


def test_nt_xent_is_least_for_equal_views_of_different_frames() -> None:
    views = torch.eye(6)
    assert nt_xent(views, views, 0.1) < nt_xent(views, views.roll(1, 0), 0.1)
    assert torch.isfinite(nt_xent(torch.ones(4, 3), torch.ones(4, 3), 0.1))
