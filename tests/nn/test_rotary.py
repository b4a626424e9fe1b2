"""Rotary positions are physical: attention scores depend on differences in seconds and hertz alone."""

from __future__ import annotations

import torch

from foundation.nn.positions import Rotary, rotate


def scores(position: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Attention scores [N, N] of fixed random queries and keys at `position` + `shift`."""
    rotary = Rotary(32)
    q, k = torch.randn(2, 1, 1, position.shape[1], 32, generator=torch.Generator().manual_seed(0))
    turn = rotary(position + shift, torch.float32)
    return (rotate(q, *turn) @ rotate(k, *turn).transpose(-1, -2))[0, 0]


def test_a_common_shift_changes_nothing_and_a_relative_one_does() -> None:
    position = torch.zeros(1, 5, 6)
    position[..., 0] = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4])  # seconds
    position[..., 2] = torch.tensor([0.0, 5e6, 1e7, -5e6, 0.0])  # hertz
    still = scores(position, torch.zeros(6))
    moved = scores(position, torch.tensor([3.0, 0.0, 2e7, 0.0, 0.0, 0.0]))
    torch.testing.assert_close(still, moved, atol=1e-4, rtol=1e-4)
    stretched = position.clone()
    stretched[..., 0] *= 2
    assert (scores(stretched, torch.zeros(6)) - still).abs().max() > 0.1


def test_rotation_keeps_lengths() -> None:
    position = torch.rand(1, 7, 6)
    x = torch.randn(1, 2, 7, 24)
    turned = rotate(x, *Rotary(24)(position, torch.float32))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
