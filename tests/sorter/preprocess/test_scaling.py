"""Scaling of photon rates."""

import torch

from sorter.preprocess.scaling import asinh


def test_asinh_is_that_of_torch_to_a_few_roundings():
    size = torch.logspace(-30, 38, 4001, dtype=torch.float64)
    x = torch.cat([-size, torch.zeros(1), size])
    found, exact = asinh(x.float()).double(), torch.asinh(x.float().double())
    usual = x.abs() < 1e18
    torch.testing.assert_close(found[usual], exact[usual], rtol=4e-7, atol=0)
    assert torch.isfinite(found).all()
