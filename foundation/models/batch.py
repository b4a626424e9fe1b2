"""The tensors that the network reads: which there are, and in which precision."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from foundation.errors import SignalError
from foundation.models.structure import Structure
from foundation.nn.precision import SINGLE_BYTES, at_least_single
from foundation.nn.tracing import tracing

#: What `foundation.tokenize` makes.
KEYS = (
    *("values", "observed", "position", "link", "grid", "column", "shape", "static", "exists"),
    *("measured", "kind", "logarithmic", "real", "radio", "facts"),
)
#: What is only read in places: padding by the decoder, values where they are not given as components, facts by an
#: objective, the others where a batch is prepared.
OPTIONAL = frozenset({"exists", "values", "measured", "real", "facts"})
_OF_TASK = ("measured", "static", "shape", "grid", "column", "exists")
#: What the network makes of the others unless a batch brings it, see `foundation.models.structure`.
STRUCTURE = "structure"


def checked_batch(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The batch in single precision at least, with its structure: the network normalises levels before it casts.

    Raises:
        SignalError: a tensor is unknown or missing, or its type cannot hold hertz or seconds.
    """
    structure = batch.get(STRUCTURE)
    batch = {name: value for name, value in batch.items() if name != STRUCTURE}
    if unknown := [name for name in batch if name not in KEYS]:
        near = get_close_matches(unknown[0], KEYS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(KEYS)}."
        raise SignalError(f"the network has no input {unknown[0]!r}; {hint}")
    _refuse_missing(batch, (name for name in KEYS if name not in OPTIONAL))
    if not tracing():
        _refuse_coarse(batch["position"])
        structure = structure or Structure.of(batch)
    return {**{name: at_least_single(value) for name, value in batch.items()}, STRUCTURE: structure}


def host_part(batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """What masks and structure are made of, on the CPU: an accelerator that holds the batch is waited for.

    Raises:
        SignalError: a tensor is missing.
    """
    _refuse_missing(batch, _OF_TASK)
    return {name: batch[name].cpu() for name in _OF_TASK}


def _refuse_missing(batch: Mapping[str, Any], names: Iterable[str]) -> None:
    if missing := [name for name in names if name not in batch]:
        raise SignalError(f"the network lacks its input {missing[0]!r}; give it foundation.tokenize(signals, config).")


def _refuse_coarse(position: Tensor) -> None:
    if position.dtype.itemsize >= SINGLE_BYTES:
        return
    kind = str(position.dtype).removeprefix("torch.")
    if not bool(torch.isfinite(position).all()):
        raise SignalError(f"position: {kind} cannot hold these hertz; leave the batch in float32.")
    message = f"position: hertz and seconds are coarse in {kind}; leave the batch in float32."
    warnings.warn(message, stacklevel=4)
