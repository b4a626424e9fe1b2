"""Interpolation between visible tokens against numpy's, for every patch shape, real and imaginary part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.signals import mixed_signals, tiny_config

from foundation.data.tokens import Batch, tokenize, untokenize
from foundation.models import WfmConfig
from foundation.nn.interpolation import METHODS, TokenField, fields_of, interpolate_tokens


def _fields(batch: Batch, config: WfmConfig) -> tuple[TokenField, ...]:
    return fields_of(batch, config.patch_shapes)


@pytest.mark.parametrize("view", ["field", "log-amplitude"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_both_methods_are_those_of_numpy(view: str, share: float) -> None:
    config = tiny_config(views={"csi": view, "cir": view})
    signals = mixed_signals()
    batch = tokenize(signals, config)
    assert sorted(set(batch["shape"][batch["exists"]].tolist())) == [0, 1, 2], "every patch shape is in the batch"
    visible = torch.rand(batch["static"].shape, generator=torch.Generator().manual_seed(0)) < share
    known = batch["observed"] & visible[..., None]
    out, available = interpolate_tokens(batch["values"], known, _fields(batch, config))
    for i, signal in enumerate(signals):
        field, given, across, first_time = (
            untokenize(x[i].float().numpy(), signal, config) for x in (batch["values"], known, out[..., 0], out[..., 1])
        )
        where = [untokenize(available[i, ..., k].float().numpy(), signal, config) for k in range(METHODS)]
        for part in ("real", "imag"):
            truth, seen = getattr(field, part), getattr(given, part) > 0
            for link in range(truth.shape[1]):
                line, by_time = _expected(truth[:, link], seen[:, link])
                np.testing.assert_allclose(getattr(across, part)[:, link], line, atol=1e-5)
                np.testing.assert_allclose(getattr(first_time, part)[:, link], by_time, atol=1e-5)
                assert (getattr(where[0], part)[:, link] > 0).tolist() == (
                    np.broadcast_to(seen[:, link].any(1, keepdims=True), line.shape).tolist()
                )
                assert bool((getattr(where[1], part)[:, link] > 0).all()) == bool(seen[:, link].any())


def _expected(truth: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[T, R] along the response axis; and along time, then along the response axis."""

    def along(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = np.arange(values.shape[1])
        out = np.zeros(values.shape)
        for row, at in enumerate(known):
            if at.any():
                out[row] = np.interp(index, index[at], values[row, at])
        return out, np.broadcast_to(known.any(1, keepdims=True), known.shape)

    by_time, known = along(truth.T, seen.T)
    return along(truth, seen)[0], along(by_time.T, known.T)[0]


def test_static_tokens_are_a_field_of_their_own() -> None:
    config = tiny_config(views={"csi": "log-amplitude"})
    batch = tokenize(mixed_signals()[:1], config)
    static = batch["static"][0]
    values = torch.where(batch["static"][..., None], 5.0, 1.0).expand_as(batch["values"])
    known = batch["observed"].clone()
    known[0, static.nonzero()[0]] = False
    out, available = interpolate_tokens(values, known, _fields(batch, config))
    used = batch["observed"][0]
    width = 2 * config.patch_shapes[int(batch["shape"][0, 0])][1]
    assert bool((out[0, static, :width][used[static, :width]] == 5).all())
    assert not bool(available[0, static, width:].any()), "of the statistics only the mean is a response"
    assert bool((out[0, ~static][used[~static]] == 1).all())
