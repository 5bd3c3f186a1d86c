"""The supervised contrastive loss against its definition."""

import math

import pytest
import torch

from sorter.losses.nt_xent import nt_xent
from sorter.losses.supervised_contrastive import supervised_contrastive


def triple_loop(z, alike, compared, temperature):
    """Eq. 2 of the paper, pair by pair."""
    z = [row / row.norm() for row in z]
    n, total, rows = len(z), 0.0, 0
    for i in range(n):
        partners = [p for p in range(n) if p != i and alike[i][p]]
        if not partners:
            continue
        others = [a for a in range(n) if a != i and (alike[i][a] or compared[i][a])]
        below = sum(math.exp(float(z[i] @ z[a]) / temperature) for a in others)
        terms = [math.log(math.exp(float(z[i] @ z[p]) / temperature) / below) for p in partners]
        total, rows = total - sum(terms) / len(partners), rows + 1
    return total / rows


@pytest.mark.parametrize("seed", range(4))
def test_is_the_triple_loop(seed):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(11, 5, generator=generator, dtype=torch.float64)
    thing = torch.randint(0, 5, (11,), generator=generator)
    source = torch.randint(0, 2, (11,), generator=generator)
    alike, compared = thing[:, None] == thing, source[:, None] == source
    expected = triple_loop(z, alike, compared, 0.3)
    assert float(supervised_contrastive(z, alike, compared, 0.3)) == pytest.approx(expected, rel=1e-5)


def test_two_views_of_each_is_nt_xent():
    first, second = torch.randn(2, 6, 4)
    thing = torch.arange(6).repeat(2)
    everything = torch.ones(12, 12, dtype=torch.bool)
    ours = supervised_contrastive(torch.cat([first, second]), thing[:, None] == thing, everything, 0.2)
    assert float(ours) == pytest.approx(float(nt_xent(first, second, 0.2)), rel=1e-5)


def test_pairs_that_say_nothing_change_nothing():
    z = torch.randn(6, 3, requires_grad=True)
    thing = torch.tensor([0, 0, 1, 1, 2, 3])
    source = torch.tensor([0, 0, 0, 0, 1, 1])  # the last two are compared with each other alone and have no partner
    loss = supervised_contrastive(z, thing[:, None] == thing, source[:, None] == source, 0.2)
    loss.backward()
    assert z.grad[4:].abs().max() == 0 and z.grad[:4].abs().max() > 0


def test_no_partner_is_no_loss():
    z = torch.randn(3, 2, requires_grad=True)
    loss = supervised_contrastive(z, torch.eye(3, dtype=torch.bool), torch.ones(3, 3, dtype=torch.bool), 0.2)
    loss.backward()
    assert float(loss.detach()) == 0 and torch.isfinite(z.grad).all()
