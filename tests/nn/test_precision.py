"""Rates of positions stay in single precision under every cast, and half-precision numbers are widened."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from foundation.nn.positions import PositionEmbedding, Rotary, scalar_features
from foundation.nn.precision import SinglePrecision, at_least_single

CASTS: list[Callable[[nn.Module], nn.Module]] = [
    lambda m: m.half(),
    lambda m: m.bfloat16(),
    lambda m: m.to(torch.float16),
    lambda m: m.to(dtype=torch.bfloat16, device="cpu"),
    lambda m: m.type(torch.float16),
    lambda m: m.half().float(),
    lambda m: m.double().half(),
]


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("make", [lambda: Rotary(32), lambda: PositionEmbedding(8)])
def test_rates_survive_every_cast(make: Callable[[], nn.Module], cast: Callable[[nn.Module], nn.Module]) -> None:
    rates = make().rates
    assert rates.max() > 65504, "what float16 cannot hold"
    assert torch.equal(cast(nn.Sequential(make()))[0].rates.float(), rates)


def test_rates_are_in_single_precision_whatever_the_default_type_is() -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        assert Rotary(32).rates.dtype == PositionEmbedding(8).rates.dtype == torch.float32
    finally:
        torch.set_default_dtype(before)


def test_only_own_tensors_are_kept_and_they_follow_to_another_device() -> None:
    made = PositionEmbedding(8).half()
    assert made.project.weight.dtype == torch.float16
    assert made.to("meta").rates.is_meta
    assert made.rates.dtype == torch.float32


def test_a_gradient_is_kept_with_its_parameter() -> None:
    class Kept(SinglePrecision):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

    made = Kept()
    made.weight.sum().backward()
    made.half()
    assert made.weight.dtype == made.weight.grad.dtype == torch.float32


def test_features_of_half_precision_scalars_are_computed_in_single() -> None:
    x = torch.tensor([[9.7]])
    torch.testing.assert_close(scalar_features(x.bfloat16()), scalar_features(x.bfloat16().float()))
    assert at_least_single(x.double()).dtype == torch.float64
    assert at_least_single(torch.ones(2, dtype=torch.int8)).dtype == torch.int8
