"""KL, masked reconstruction, permuted latents, and total correlation by the density ratio."""

import math

import pytest
import torch
from torch import nn

from sorter.losses.elbo import kl_to_prior, masked_gaussian_nll
from sorter.losses.total_correlation import discriminator_loss, permute_dims, total_correlation
from sorter.models.factor_vae import Discriminator


def test_kl_is_zero_at_the_prior_and_positive_elsewhere() -> None:
    zeros = torch.zeros(8, 5)
    assert float(kl_to_prior(zeros, zeros)) == 0.0
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        mean, log_variance = (torch.randn(8, 5, generator=generator) for _ in range(2))
        assert float(kl_to_prior(mean, log_variance)) > 0


def test_kl_equals_torch_distributions() -> None:
    mean, log_variance = torch.randn(6, 3), torch.randn(6, 3)
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_to_prior(mean, log_variance), expected)


def test_gaps_have_neither_loss_nor_gradient_whatever_they_hold() -> None:
    target, weight = torch.rand(2, 4, 8), torch.ones(2, 4, 8)
    weight[:, :, 3] = 0
    reconstruction = torch.rand(2, 4, 8, requires_grad=True)
    spoiled = target.clone()
    spoiled[:, :, 3] = torch.nan
    loss = masked_gaussian_nll(reconstruction, spoiled, weight, 0.5)
    torch.testing.assert_close(loss, masked_gaussian_nll(reconstruction, target, weight, 0.5))
    loss.backward()
    assert (reconstruction.grad[:, :, 3] == 0).all() and (reconstruction.grad[:, :, 0] != 0).all()


def test_reconstruction_equals_the_gaussian_density() -> None:
    reconstruction, target = torch.rand(3, 4, 4), torch.rand(3, 4, 4)
    density = torch.distributions.Normal(reconstruction, 0.7)
    difference = density.log_prob(reconstruction) - density.log_prob(target)
    expected = difference.sum((1, 2)).mean()
    torch.testing.assert_close(masked_gaussian_nll(reconstruction, target, torch.ones(3, 4, 4), 0.7), expected)


def test_losses_stay_in_float32_for_half_precision_pictures() -> None:
    picture = torch.full((2, 64, 64), 30.0, dtype=torch.float16)
    loss = masked_gaussian_nll(torch.zeros_like(picture), picture, torch.ones_like(picture), 1.0)
    assert loss.dtype == torch.float32 and float(loss) == pytest.approx(64 * 64 * 900 / 2)
    assert kl_to_prior(picture[:, 0], picture[:, 0] * 0).dtype == torch.float32


def test_permuted_latents_keep_each_marginal_and_lose_the_dependence() -> None:
    z = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0)).repeat(1, 3)
    permuted = permute_dims(z, torch.Generator().manual_seed(1))
    torch.testing.assert_close(permuted.sort(0).values, z.sort(0).values)
    correlation = torch.corrcoef(permuted.T)
    assert float((correlation - torch.eye(3)).abs().max()) < 0.06
    assert torch.equal(permuted, permute_dims(z, torch.Generator().manual_seed(1)))


def test_exact_density_ratio_gives_the_exact_total_correlation() -> None:
    rho = 0.8
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200_000, 2, generator=generator, dtype=torch.float64)
    z = torch.stack([noise[:, 0], rho * noise[:, 0] + math.sqrt(1 - rho**2) * noise[:, 1]], 1)
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64)
    joint = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), covariance).log_prob(z)
    product = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    estimate = float(total_correlation(torch.stack([joint, product], 1)))
    assert estimate == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.01)


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_trained_discriminator_estimates_the_total_correlation_of_gaussians(rho: float) -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    discriminator = Discriminator(2, layers=2, width=64)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-3)

    def draw(n: int) -> torch.Tensor:
        noise = torch.randn(n, 2, generator=generator)
        return torch.stack([noise[:, 0], rho * noise[:, 0] + math.sqrt(1 - rho**2) * noise[:, 1]], 1)

    for step in range(500):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / 500)
        loss = discriminator_loss(discriminator(draw(1024)), discriminator(permute_dims(draw(1024), generator)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        estimate = float(total_correlation(discriminator(draw(20_000))))
    # The exact value is 0 and 0.51; a small network trained for a second comes within a tenth.
    assert estimate == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.1)


def test_a_blind_discriminator_costs_log_two() -> None:
    logits = torch.zeros(10, 2)
    assert float(discriminator_loss(logits, logits)) == pytest.approx(math.log(2))
    assert float(total_correlation(logits)) == 0.0
    assert isinstance(Discriminator(4, 6, 1000)[0], nn.Linear)
