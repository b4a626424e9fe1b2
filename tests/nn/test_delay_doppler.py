"""Delay-Doppler spectrum of patches: against NumPy's transform, and blind to the phase of a motion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foundation.nn.delay_doppler import QUIET, QUIET_BAND, Bands, DelayDoppler


def entries(field: np.ndarray, more: int = 0) -> torch.Tensor:
    """[N, times, responses] complex -> tokens, followed by `more` other entries."""
    values = torch.view_as_real(torch.from_numpy(field.astype(np.complex64))).flatten(1)
    return torch.cat([values, torch.ones(len(values), more)], dim=1)


@pytest.mark.parametrize("shape", [(16, 8), (4, 8), (1, 16)])
def test_it_is_the_log_power_of_the_transform(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    field = rng.standard_normal((5, *shape)) + 1j * rng.standard_normal((5, *shape))
    embed = DelayDoppler(*shape, width=shape[0] * shape[1])
    torch.nn.init.eye_(embed.project.weight)
    power = np.abs(np.fft.fft2(field, norm="ortho")) ** 2
    expected = np.log(power + QUIET).reshape(5, -1) / 2 + 1
    np.testing.assert_allclose(embed(entries(field, more=7)).detach(), expected, atol=2e-4)


def test_phase_and_delay_of_a_motion_do_not_matter() -> None:
    embed = DelayDoppler(16, 8, width=12)
    time, response = np.arange(16)[:, None], np.arange(8)
    moves = np.exp(2j * np.pi * (3 * time / 16 + 2 * response / 8))
    later = np.roll(moves, 5, axis=0) * np.exp(1.3j)
    first, second = embed(entries(np.stack([moves, later]))).detach()
    assert torch.allclose(first, second, atol=1e-3)


def test_nothing_measured_is_quiet_and_has_a_gradient() -> None:
    embed = DelayDoppler(4, 8, width=6)
    tokens = torch.zeros(3, 64, requires_grad=True)
    embed(tokens).sum().backward()
    assert tokens.grad is not None and bool(torch.isfinite(tokens.grad).all())


def test_bands_are_the_mean_power_of_doppler_shifts_of_both_signs() -> None:
    time = np.arange(16)[:, None]
    shift = 4  # in the fourth band, of 3 and 4
    field = 2 * np.cos(2 * np.pi * shift * time / 16) * np.ones((16, 8))
    power = (np.exp(2 * Bands(16, 8)(entries(field[None])).numpy()) - QUIET_BAND)[0]
    # A cosine of amplitude 2 has two lines of power 16 x 8 each, at zero delay: 2 of the 4 shifts, 1 of the 8 delays.
    np.testing.assert_allclose(power, [0, 0, 0, 128 * 2 / 4 / 8, 0], atol=1e-3)


@pytest.mark.parametrize("shape,count", [((16, 8), 5), ((4, 8), 3), ((1, 16), 5)])
def test_short_patches_have_fewer_bands_and_noise_is_equally_strong_in_all(shape: tuple[int, int], count: int) -> None:
    rng = np.random.default_rng(0)
    noise = (rng.standard_normal((4000, *shape)) + 1j * rng.standard_normal((4000, *shape))) / np.sqrt(2)
    power = np.exp(2 * Bands(*shape)(entries(noise)).numpy()) - QUIET_BAND
    assert power.shape == (4000, count)
    np.testing.assert_allclose(power.mean(0), 1, atol=0.06)
