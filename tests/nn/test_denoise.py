"""Joint denoising: the solver finds a known law, and nothing of what is unknown enters the network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from foundation.nn.denoise import LEAST_T, Noisy, NoisyEmbedding, draw_times, solve


def _noisy(values: Tensor, t: float, observed: Tensor | None = None) -> Noisy:
    observed = torch.ones_like(values, dtype=torch.bool) if observed is None else observed
    return Noisy(torch.arange(len(values)), values, observed, torch.full((len(values),), t))


def test_at_one_the_prediction_is_the_output_of_the_network_and_near_zero_it_is_x_t() -> None:
    values, output = torch.randn(2, 5, 3).unbind()
    assert torch.equal(_noisy(values, 1.0).clean(output), output)
    torch.testing.assert_close(_noisy(values, 1e-4).clean(output), values, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_without_a_network_the_mixture_is_the_best_for_white_tokens(t: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 200_000, 1, generator=generator)
    mixed = torch.lerp(x, noise, t)
    found = _noisy(mixed, t).clean(torch.zeros_like(x))
    best = (mixed * x).sum() / mixed.square().sum() * mixed
    torch.testing.assert_close(found, best, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("steps", [8, 32])
def test_the_solver_draws_from_a_known_law(steps: int) -> None:
    """Mean 2 and standard deviation 0.5 of correlated pairs: the exact prediction of x given x_t is linear."""
    root = torch.tensor([[0.5, 0.0], [0.3, 0.4]])
    mean, covariance = torch.tensor([2.0, -1.0]), root @ root.T

    def predict(x: Tensor, t: float) -> Tensor:
        gain = (1 - t) * covariance @ torch.linalg.inv((1 - t) ** 2 * covariance + t**2 * torch.eye(2))
        return mean + (x - (1 - t) * mean) @ gain.T

    drawn = solve(predict, torch.randn(50_000, 2, generator=torch.Generator().manual_seed(0)), steps)
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), covariance, atol=0.01 if steps > 8 else 0.06, rtol=0)


def test_steps_end_in_a_prediction() -> None:
    called: list[float] = []

    def predict(x: Tensor, t: float) -> Tensor:
        called.append(t)
        return torch.full_like(x, 3.0)

    assert solve(predict, torch.randn(4, 2), 3).tolist() == [[3.0, 3.0]] * 4
    assert called == pytest.approx([1, 2 / 3, 1 / 3])


def test_the_embedding_sees_observed_entries_and_nothing_of_pure_noise() -> None:
    torch.manual_seed(0)
    embed = NoisyEmbedding(4, 8)
    assert not embed.is_trained
    torch.nn.init.normal_(embed.values.weight)
    assert embed.is_trained
    values, observed = torch.randn(3, 4), torch.tensor([[True, True, False, False]] * 3)
    other = torch.where(observed, values, 1e3)
    assert torch.equal(embed(_noisy(values, 0.5, observed)), embed(_noisy(other, 0.5, observed)))
    assert not torch.equal(embed(_noisy(values, 0.5, observed)), embed(_noisy(-values, 0.5, observed)))
    assert not embed(_noisy(values, 1.0, observed)).any()


def test_noise_levels_are_one_for_the_share_that_is_predicted() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_times(8, 0.5, generator) for _ in range(200)])
    assert ((drawn == 1).sum(1) == 4).all()
    assert 0.4 < (drawn == 1).float().mean(0).min() <= (drawn == 1).float().mean(0).max() < 0.6, "any sample may be it"
    below = drawn[drawn < 1]
    assert LEAST_T <= below.min() < 0.3
    assert below.max() > 0.9
    assert (draw_times(5, 1.0, generator) == 1).all()
    assert (draw_times(5, 0.0, generator) < 1).all()
