"""LWM 1.0, frozen: a pretrained peer on channels (Alikhani, Charan and Alkhateeb, arXiv:2411.08872).

Written anew from what the weights and their published use imply. The user fetches the weights of version 1.0 from
https://huggingface.co/wi-lab/lwm (MIT according to a public catalogue; no licence file was seen). The authors publish a
pickle, which is converted once, tensor by tensor and under the same names, with `safetensors.torch.save_file`.

A channel of 32 antennas x 32 subcarriers becomes 128 patches of 16 numbers, real parts first. Queries and keys are zero
in half of the twelve layers, so that attention is a plain mean there.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor
from torch.nn import functional

from foundation.errors import CheckpointError, SignalError
from foundation.signal import Signal

#: Of the 603,712 weights as safetensors. A file with it needs no other check.
SHA256 = "69e4277bb14133ab2f66c3fc37d433ab976e062251f0189feb69df2a3aa0c174"
SHAPE = (1, 32, 32)  # times, antennas, subcarriers
PATCH, LAYERS, HEADS = 16, 12, 12
FIRST_TOKEN = 0.2  # its 16 numbers; nothing else marks it
#: A third of the weights are so small that they change no output, and their products are denormal numbers, which take a
#: CPU a hundred times as long. As zeros they need no setting of the process, which other rows would share.
SMALLEST = 1e-20
TOGETHER = 64  # channels
FEATURES = ("cls", "mean", "cls-level", "mean-level")
#: Root mean square of the numbers of a channel at one level, in the unit of its training: of 0.3 to 30 the best for it
#: on two scenes of `sionna-channels`, test parts among them.
LEVEL = 3.0

Weights = Mapping[str, Tensor]

#: Features by the hash of a signal; there is one network, so that they depend on nothing else.
_KNOWN: dict[bytes, tuple[NDArray[np.float32], ...]] = {}


def load_lwm(path: Path) -> Weights:
    """The weights.

    Raises:
        CheckpointError: there is no file, or another.
    """
    how = "get the weights of https://huggingface.co/wi-lab/lwm as safetensors, or take lwm-1.0 out of modes"
    if not path.is_file():
        raise CheckpointError(f"lwm: {path}: no such file; {how}.")
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise CheckpointError(f"lwm: {path}: SHA-256 is {found}; expected {SHA256}, LWM 1.0: {how}.")
    return {name: torch.where(each.abs() < SMALLEST, 0, each) for name, each in load(content).items()}


@torch.no_grad()
def lwm_features(weights: Weights, signals: Sequence[Signal]) -> dict[str, NDArray[np.float32]]:
    """float32 [n, 64] each of `FEATURES`: `cls`, the first token, and `mean`, that of the others; and the same of the
    channels at one level, which cells larger than those of its training need: at theirs the position is all it sees.

    Raises:
        SignalError: a signal is no channel of 32 antennas and 32 subcarriers; names its session.
    """
    found: list[list[Tensor]] = []
    for start in range(0, len(signals), TOGETHER):
        patches = patches_of(signals[start : start + TOGETHER])
        power = patches.square().mean((1, 2), keepdim=True)
        both = (lwm_tokens(weights, each) for each in (patches, patches * LEVEL * power.clamp(min=1e-30).rsqrt()))
        found.append([pooled for tokens in both for pooled in (tokens[:, 0], tokens[:, 1:].mean(1))])
    return dict(zip(FEATURES, (torch.cat(each).numpy() for each in zip(*found, strict=True)), strict=True))


def recorded_features(weights: Weights, signals: Sequence[Signal]) -> dict[str, NDArray[np.float32]]:
    """As `lwm_features`, but of each signal once in a process: six folds have the same signals in other parts."""
    keys = [hashlib.sha256(signal.values.tobytes()).digest() for signal in signals]
    new = {key: signal for key, signal in zip(keys, signals, strict=True) if key not in _KNOWN}
    if new:
        found = lwm_features(weights, list(new.values()))
        _KNOWN.update(zip(new, zip(*found.values(), strict=True), strict=True))
    rows = zip(*(_KNOWN[key] for key in keys), strict=True)
    return dict(zip(FEATURES, map(np.stack, rows), strict=True))


def patches_of(signals: Sequence[Signal]) -> Tensor:
    """float32 [n, 128, 16] in the unit of its training: DeepMIMO divides a channel by the square root of the number of
    subcarriers (`foundation.readers.arrays.deepmimo` does not), and LWM multiplies it by a million."""
    for signal in signals:
        if signal.values.shape != SHAPE or signal.is_real or signal.domain == "delay":
            times, links, responses = signal.values.shape
            raise SignalError(
                f"lwm-1.0 reads channels of 1 time x 32 antennas x 32 subcarriers; session {signal.session!r} has "
                f"{times} x {links} x {responses} of kind {signal.kind}: take it out of modes."
            )
    field = np.stack([signal.values.reshape(-1) for signal in signals]) * np.float32(1e6 / math.sqrt(SHAPE[2]))
    return torch.from_numpy(np.concatenate([field.real, field.imag], axis=1)).reshape(len(signals), -1, PATCH)


def lwm_tokens(weights: Weights, patches: Tensor) -> Tensor:
    """float32 [n, 129, 64] of patches [n, 128, 16]: the output of the last layer."""
    first = patches.new_full((len(patches), 1, PATCH), FIRST_TOKEN)
    x = _linear(weights, "embedding.proj", torch.cat([first, patches], 1)) + weights["embedding.pos_embed.weight"]
    x = _norm(weights, "embedding.norm", x)
    for number in range(LAYERS):
        at = f"layers.{number}"
        x = _norm(weights, f"{at}.norm", x + _attention(weights, f"{at}.enc_self_attn", x))
        hidden = _linear(weights, f"{at}.pos_ffn.fc1", x).relu()
        x = x + _linear(weights, f"{at}.pos_ffn.fc2", hidden)
    return x


def _attention(weights: Weights, at: str, x: Tensor) -> Tensor:
    query, key, value = (
        _linear(weights, f"{at}.W_{each}", x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for each in "QKV"
    )
    mixed = functional.scaled_dot_product_attention(query, key, value)
    return _linear(weights, f"{at}.linear", mixed.transpose(1, 2).flatten(2))


def _linear(weights: Weights, at: str, x: Tensor) -> Tensor:
    return functional.linear(x, weights[f"{at}.weight"], weights[f"{at}.bias"])


def _norm(weights: Weights, at: str, x: Tensor) -> Tensor:
    """A layer norm with its epsilon beside the standard deviation, which has Bessel's correction."""
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (x.std(-1, keepdim=True) + 1e-6)
    return weights[f"{at}.alpha"] * scaled + weights[f"{at}.bias"]
