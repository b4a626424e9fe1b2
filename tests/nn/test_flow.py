"""Diffusion: it starts from pure noise, learns a distribution, and reveals every token once."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from foundation.nn.flow import FlowHead, cosine_counts


def _all(count: int) -> Tensor:
    """Every one of two entries is measured."""
    return torch.ones(count, 2, dtype=torch.bool)


def _loss(head: FlowHead, x: Tensor, weight: Tensor, condition: Tensor, generator: torch.Generator) -> Tensor:
    """At one random noise level for each token."""
    times = torch.sigmoid(torch.randn(len(x), generator=generator))
    return head.loss(x, weight, condition, times, torch.randn(x.shape, generator=generator))


class _Recorder(FlowHead):
    """Keeps what the network is asked for."""

    def __init__(self) -> None:
        super().__init__(2, 3, 8, 1)
        self.calls: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, t: Tensor, condition: Tensor, observed: Tensor) -> Tensor:
        self.calls.append((x.detach().clone(), t.detach().clone()))
        return super().forward(x, t, condition, observed)


def test_nothing_of_the_signal_is_left_where_sampling_starts() -> None:
    head = _Recorder()
    head.sample(torch.zeros(5, 3), _all(5), 4, torch.Generator().manual_seed(7))
    x, t = head.calls[0]
    assert torch.equal(x, torch.randn(5, 2, generator=torch.Generator().manual_seed(7))), "the start is the noise alone"
    assert (t == 1).all(), "x_t = (1 - t) x + t noise: a signal-to-noise ratio of 0"


def test_training_mixes_signal_and_noise_by_t_and_asks_for_their_difference() -> None:
    head = _Recorder()
    x = torch.tensor([[1e4, -1e4]]).repeat(1000, 1)
    loss = _loss(head, x, torch.ones_like(x), torch.zeros(len(x), 3), torch.Generator().manual_seed(0))
    (noisy, t), *_ = head.calls
    assert noisy.shape == (1000, 2)
    left = (noisy[:, 0] - noisy[:, 1]) / 2e4  # share of the signal in x_t
    torch.testing.assert_close(left, 1 - t, atol=1e-3, rtol=0)
    assert t.min() > 0
    assert t.max() < 1
    # Beside a signal this strong the network's own part is nothing; what is left is the error of the built-in velocity.
    built_in = t / ((1 - t).square() + t.square())
    assert loss.item() == pytest.approx(1e8 * built_in.square().mean().item(), rel=0.01)
    for end in (0.0, 1.0):
        signal, noise = torch.randn(2, 4).unbind()
        assert torch.equal(torch.lerp(signal, noise, torch.tensor(end)), noise if end else signal)


def test_unit_variance_data_needs_no_network() -> None:
    """The built-in velocity is the exact one for white data: the network starts from there."""
    head = FlowHead(2, 3, 8, 1)
    torch.nn.init.zeros_(head.out.weight)
    made = head.sample(torch.zeros(5000, 3), _all(5000), 40, torch.Generator().manual_seed(0))
    torch.testing.assert_close(made.std(0), torch.ones(2), atol=0.03, rtol=0)


def test_entries_without_weight_do_not_count() -> None:
    head = FlowHead(2, 3, 8, 1)
    x, weight = torch.zeros(64, 2), torch.tensor([[1.0, 0.0]]).expand(64, 2)

    def loss(values: Tensor) -> Tensor:
        return _loss(head, values, weight, torch.zeros(64, 3), torch.Generator().manual_seed(0))

    assert torch.equal(loss(x), loss(x + torch.tensor([0.0, 9.0])))
    assert not torch.equal(loss(x), loss(x + torch.tensor([9.0, 0.0])))


def _mixture(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Condition 0: modes at (-1.5, 0.5) and (1.5, 0.5), 0.3 wide, 30 % and 70 %; condition 1: one mode at (0, -2)."""
    which = torch.randint(2, (count,), generator=generator)
    side = torch.where(torch.rand(count, generator=generator) < 0.3, -1.5, 1.5)
    centre = torch.stack([torch.where(which == 0, side, 0.0), torch.where(which == 0, 0.5, -2.0)], dim=1)
    return centre + 0.3 * torch.randn(count, 2, generator=generator), torch.nn.functional.one_hot(which, 2).float()


def test_a_trained_head_gives_back_the_distribution_from_pure_noise() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    head = FlowHead(2, 2, 64, 2)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)
    for _ in range(600):
        x, condition = _mixture(512, generator)
        optimizer.zero_grad()
        _loss(head, x, torch.ones_like(x), condition, generator).backward()
        optimizer.step()
        schedule.step()
    count = 4000
    two = head.sample(torch.tensor([[1.0, 0.0]]).expand(count, 2), _all(count), 20, generator)
    left, right = two[two[:, 0] < 0], two[two[:, 0] >= 0]
    assert len(left) / count == pytest.approx(0.3, abs=0.05)
    for mode, centre in ((left, -1.5), (right, 1.5)):
        torch.testing.assert_close(mode.mean(0), torch.tensor([centre, 0.5]), atol=0.1, rtol=0)
        torch.testing.assert_close(mode.std(0), torch.tensor([0.3, 0.3]), atol=0.1, rtol=0)
    one = head.sample(torch.tensor([[0.0, 1.0]]).expand(count, 2), _all(count), 20, generator)
    torch.testing.assert_close(one.mean(0), torch.tensor([0.0, -2.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(one.std(0), torch.tensor([0.3, 0.3]), atol=0.1, rtol=0)


def test_sampling_is_a_function_of_the_generator() -> None:
    head = FlowHead(2, 3, 8, 1)
    condition = torch.randn(6, 3)

    def sample(seed: int) -> Tensor:
        return head.sample(condition, _all(len(condition)), 3, torch.Generator().manual_seed(seed))

    assert torch.equal(sample(1), sample(1))
    assert not torch.equal(sample(1), sample(2))


@given(total=st.integers(0, 5000), steps=st.integers(1, 64))
def test_every_hidden_token_is_revealed_once(total: int, steps: int) -> None:
    counts = cosine_counts(total, steps)
    assert len(counts) == steps
    assert sum(counts) == total
    assert min(counts) >= 0


def test_few_tokens_are_revealed_first() -> None:
    counts = cosine_counts(1000, 10)
    assert counts[0] < 1000 / 10 / 4
    assert all(b - a >= -2 for a, b in itertools.pairwise(counts))
    assert cosine_counts(7, 1) == [7]


def test_entries_that_were_never_measured_do_not_lead_the_others_astray() -> None:
    """Two entries of which training observes one: the samples of that one must keep its distribution."""
    torch.manual_seed(0)
    head = FlowHead(entries=2, condition=1, width=32, depth=2)
    optimizer = torch.optim.Adam(head.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    observed = torch.tensor([[True, False]]).expand(256, 2)
    for _ in range(300):
        x = torch.stack([2 + 0.5 * torch.randn(256, generator=generator), torch.zeros(256)], dim=1)
        loss = _loss(head, x, observed.float(), torch.zeros(256, 1), generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made = head.sample(torch.zeros(2000, 1), torch.tensor([[True, False]]).expand(2000, 2), 12, generator)
    assert made[:, 0].mean().item() == pytest.approx(2.0, abs=0.15)
    assert made[:, 0].std().item() == pytest.approx(0.5, abs=0.15)
    assert bool((made[:, 1] == 0).all())
