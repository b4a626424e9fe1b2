"""The straight line between visible tokens: what numpy's interpolation gives, for every patch shape and both parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import mixed_signals, tiny_config

from foundation.data.tokens import tokenize, untokenize
from foundation.nn.interpolation import interpolate_tokens


@pytest.mark.parametrize("view", ["field", "log-amplitude"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_it_is_linear_along_the_response_axis_of_each_instant_and_link(view: str, share: float) -> None:
    config = tiny_config(views={"csi": view, "cir": view})
    signals = mixed_signals()
    batch = tokenize(signals, config)
    assert sorted(set(batch["shape"][batch["exists"]].tolist())) == [0, 1, 2], "every patch shape is in the batch"
    visible = torch.rand(batch["static"].shape, generator=torch.Generator().manual_seed(0)) < share
    known = batch["observed"] & visible[..., None]
    out, reached = interpolate_tokens(
        batch["values"], known, batch["static"], batch["grid"], batch["shape"], config.patch_shapes
    )
    for signal, *each in zip(signals, batch["values"], known, out, reached, strict=True):
        field, given, line, told = (untokenize(x.float().numpy(), signal, config) for x in each)
        for part in ("real", "imag"):
            for t, link in np.ndindex(field.shape[:2]):
                at = np.flatnonzero(getattr(given, part)[t, link])
                index = np.arange(field.shape[2])
                truth = getattr(field, part)[t, link]
                expected = np.interp(index, at, truth[at]) if len(at) else np.zeros(len(index))
                np.testing.assert_allclose(getattr(line, part)[t, link], expected, atol=1e-5)
                assert bool(getattr(told, part)[t, link].all()) == bool(len(at))


def test_static_tokens_are_a_field_of_their_own() -> None:
    config = tiny_config(views={"csi": "log-amplitude"})
    batch = tokenize(mixed_signals()[:1], config)
    static = batch["static"][0]
    values = torch.where(batch["static"][..., None], 5.0, 1.0).expand_as(batch["values"])
    known = batch["observed"].clone()
    known[0, static.nonzero()[0]] = False
    out, _ = interpolate_tokens(values, known, batch["static"], batch["grid"], batch["shape"], config.patch_shapes)
    used = batch["observed"][0]
    assert bool((out[0, static][used[static]] == 5).all())
    assert bool((out[0, ~static][used[~static]] == 1).all())
