"""LWM 1.0 as a row: its weights, what it reads, and the heads and folds of other rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.signals import make_signal
from helpers.small_set import _dataset
from pydantic import ValidationError
from safetensors.torch import load_file

from foundation.config import EvaluateRecipe
from foundation.data.shards.write import write_shards
from foundation.errors import CheckpointError, SignalError
from foundation.evaluate.baselines import lwm
from foundation.evaluate.run import evaluate
from foundation.signal import Link, Signal

MISSING = "weights of LWM 1.0 are absent: no {}"


def random_weights() -> dict[str, torch.Tensor]:
    """Those that the forward pass reads, of the shapes of the released ones."""
    draw = torch.Generator().manual_seed(0)
    linear = {"embedding.proj": (64, 16)}
    norms = ["embedding.norm"]
    for n in range(lwm.LAYERS):
        at = f"layers.{n}"
        linear |= {f"{at}.enc_self_attn.W_{each}": (60, 64) for each in "QKV"}
        linear |= {f"{at}.enc_self_attn.linear": (64, 60)}
        linear |= {f"{at}.pos_ffn.fc1": (256, 64), f"{at}.pos_ffn.fc2": (64, 256)}
        norms.append(f"{at}.norm")
    found = {f"{name}.weight": torch.randn(shape, generator=draw) / 8 for name, shape in linear.items()}
    found |= {f"{name}.bias": torch.randn(shape[0], generator=draw) / 8 for name, shape in linear.items()}
    found |= {f"{name}.alpha": torch.ones(64) for name in norms} | {f"{name}.bias": torch.zeros(64) for name in norms}
    return found | {"embedding.pos_embed.weight": torch.randn(129, 64, generator=draw)}


def channels(first: int, stop: int) -> Iterator[tuple[str, Signal]]:
    """Channels whose level tells their class."""
    links = tuple(Link(tx=k) for k in range(32))
    for index in range(first, stop):
        signal = make_signal(index, times=1, links=32, responses=32, kind="channel", session=f"s{index // 5}")
        level = 1e-5 if index % 2 else 1e-7
        labels: dict[str, Any] = {"activity": "near" if index % 2 else "far"}
        yield f"{index:03d}", signal.with_(values=level * signal.values, links=links, labels=labels)


@pytest.fixture
def released(data_root: Path) -> Path:
    path = data_root / "peers" / "lwm-1.0" / "model.safetensors"
    if not path.is_file():
        pytest.skip(MISSING.format(path))
    return path


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_shards(_dataset(partial(channels, 0, 20)), tmp_path / "shards")
    return tmp_path / "shards"


def recipe(shards: Path, weights: Path | None, **changes: Any) -> EvaluateRecipe:
    fields: dict[str, Any] = {
        "name": "x",
        "set": "toy",
        "task": {"shards": str(shards), "label": "activity", "split": "main"},
        "modes": ["lwm-1.0"],
        "fractions": [1.0],
        "seeds": [0],
        "lwm": None if weights is None else str(weights),
        "cache": str(shards.parent / "cache"),
    }
    return EvaluateRecipe.model_validate(fields | changes)


def test_it_has_the_heads_copies_and_alignment_of_other_rows(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in ("cache", "fits"):
        monkeypatch.setattr(f"foundation.evaluate.{user}.load_lwm", lambda path: random_weights())
    rows = evaluate(recipe(shards, tmp_path / "any", align=["coral"], tune={"augment": 0.1}), "command")
    assert [(row.method, row.mode) for row in rows] == [("LWM 1.0", "lwm-1.0"), ("LWM 1.0", "lwm-1.0+coral")]
    assert rows[0].mean >= 0.8


def test_weights_that_are_missing_or_others_are_refused_before_any_fit(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"lwm: mode lwm-1\.0 needs the file of its weights"):
        recipe(shards, None)
    absent, other = tmp_path / "absent.safetensors", tmp_path / "other.safetensors"
    other.write_bytes(b"another model")
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: no such file; get the weights of https://"):
        evaluate(recipe(shards, absent), "command")
    with pytest.raises(CheckpointError, match=rf"SHA-256 is [0-9a-f]{{64}}; expected {lwm.SHA256}, LWM 1\.0"):
        evaluate(recipe(shards, other), "command")


def test_other_signals_are_refused() -> None:
    with pytest.raises(SignalError, match="session 'session-0' has 32 x 2 x 16 of kind csi"):
        lwm.patches_of([make_signal()])


def test_patches_are_sixteen_subcarriers_of_an_antenna_real_parts_first() -> None:
    (_, signal), *_ = channels(0, 1)
    patches = lwm.patches_of([signal])[0].numpy() * np.sqrt(32) / 1e6
    np.testing.assert_allclose(patches[3], signal.values[0, 1, 16:].real, rtol=1e-5)
    np.testing.assert_allclose(patches[64], signal.values[0, 0, :16].imag, rtol=1e-5)


def test_at_one_level_a_channel_and_a_weaker_one_are_alike() -> None:
    (_, signal), *_ = channels(0, 1)
    weaker = signal.with_(values=signal.values / 64)
    features = lwm.lwm_features(random_weights(), [signal, weaker])
    for name in ("cls-level", "mean-level"):
        np.testing.assert_allclose(*features[name], rtol=1e-4, atol=1e-5)
    assert np.abs(np.subtract(*features["mean"])).max() > 1e-3, "at their own levels they are not"


@pytest.mark.real
def test_the_released_weights_lose_nothing_with_their_denormal_numbers(released: Path) -> None:
    weights, whole = lwm.load_lwm(released), load_file(released)
    assert sum(each.numel() for each in whole.values()) == 603_712
    signals = [signal for _, signal in channels(0, 2)]
    found = lwm.lwm_tokens(weights, lwm.patches_of(signals))
    np.testing.assert_allclose(found, lwm.lwm_tokens(whole, lwm.patches_of(signals)), atol=1e-6)
    assert found.shape == (2, 129, 64)
    assert float(torch.tensor(1e-40) * 1) > 0, "nothing flushes denormal numbers in this process"
    features = lwm.lwm_features(weights, signals)
    np.testing.assert_allclose(features["mean"], found[:, 1:].mean(1), rtol=1e-5, atol=1e-6)
