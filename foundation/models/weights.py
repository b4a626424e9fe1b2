"""The weights that a configuration needs, compared with what a file claims to hold before any memory is taken for them.

A file that was damaged, cut or written by somebody else must not become a network with random weights, nor one of
another size than its configuration says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from foundation.errors import CheckpointError
from foundation.models.config import WfmConfig

Shapes = dict[str, tuple[int, ...]]

#: Prefixes of weight names of earlier versions -> current prefixes.
RENAMED = {
    "encoder.sketch.tell.": "encoder.statistics_head.project.",
    "sketch.tell.": "statistics_head.project.",
    "trust.": "gate_logits.",
    "mean.": "decoder.predict.",
}
ENCODER = "encoder."  # prefix of the encoder's weights in the pretraining model
FLOATS = ("F16", "BF16", "F32", "F64")


def read_shapes(path: Path) -> Shapes:
    """Names and shapes in a safetensors file; reads its header alone, which is compared with the file's length.

    Raises:
        CheckpointError: the file is missing, damaged, or holds something else than floating-point numbers.
    """
    found: Shapes = {}
    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dictionary
                part = file.get_slice(name)
                if part.get_dtype() not in FLOATS:
                    raise CheckpointError(f"{path}: {name[:80]!r} is of type {part.get_dtype()}; expected a float.")
                found[name] = tuple(part.get_shape())
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}).") from error
    return found


def check_shapes(source: str | Path, found: Mapping[str, tuple[int, ...]], config: WfmConfig) -> bool:
    """Whether the weights of a configuration are there whole (True), or those of its encoder alone (False).

    Raises:
        CheckpointError: weights are missing, unknown, of another shape, or were written by an earlier version.
    """
    refuse_renamed(source, found)
    whole = any(name.startswith(ENCODER) for name in found)
    _compare_counts(source, found, config, ENCODER if whole else "")
    expected = shapes_of(source, config)
    if not whole:
        inside = {name: shape for name, shape in expected.items() if name.startswith(ENCODER)}
        expected = {name.removeprefix(ENCODER): shape for name, shape in inside.items()}
    compare(source, found, expected)
    return whole


def compare(source: str | Path, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Check that exactly the expected weights are there.

    Raises:
        CheckpointError: one is missing, unknown or of another shape; names the first.
    """
    if missing := sorted(expected.keys() - found.keys()):
        raise CheckpointError(f"{source}: lacks {len(missing)} of {len(expected)} weights, first {missing[0]}.")
    if unknown := sorted(found.keys() - expected.keys()):
        raise CheckpointError(f"{source}: holds {len(unknown)} unknown weights, first {unknown[0][:80]!r}.")
    for name, shape in expected.items():
        if tuple(found[name]) != shape:
            raise CheckpointError(f"{source}: {name} has shape {tuple(found[name])}; its configuration says {shape}.")


def check_finite(source: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that weights are numbers.

    Raises:
        CheckpointError: one is NaN or infinite; names the first.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{source}: {name} holds values that are not finite; the file is damaged.")


def shapes_of(source: str | Path, config: WfmConfig) -> Shapes:
    """Names and shapes of all weights of the pretraining model, without memory for them.

    Raises:
        CheckpointError: there is no network of such sizes.
    """
    from foundation.models.masked import WfmForMaskedModeling  # which is loaded by way of this module

    try:
        with torch.device("meta"):
            state = WfmForMaskedModeling(config).state_dict()
    except (RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{source}: its configuration describes no network ({reason}).") from error
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def refuse_renamed(source: str | Path, names: Iterable[str]) -> None:
    """Check weight names for those of earlier versions.

    Raises:
        CheckpointError: there is one; gives its current name.
    """
    for name in sorted(names):
        for before, now in RENAMED.items():
            if name.startswith(before):
                raise CheckpointError(
                    f"{source}: was written by an earlier version: weight {name} is now called "
                    f"{now}{name.removeprefix(before)}; rename the weights that begin like it."
                )


def _compare_counts(source: str | Path, found: Iterable[str], config: WfmConfig, prefix: str) -> None:
    """Repeated parts first: also without memory, millions of blocks would take hours to lay out."""
    claims: dict[str, tuple[str, Any]] = {
        "depth": (rf"{prefix}transformer\.blocks\.(\d+)\.", config.depth),
        "experts": (rf"{prefix}transformer\.blocks\.0\.experts\.experts\.(\d+)\.", config.experts),
        "patch_shapes": (rf"{prefix}tokenizer\.content\.(\d+)\.", len(config.patch_shapes) + 1),
    }
    if prefix:
        claims["decoder_depth"] = (r"decoder\.transformer\.blocks\.(\d+)\.", config.decoder_depth)
    for key, (pattern, claimed) in claims.items():
        there = len({match[1] for name in found if (match := re.match(pattern, name))})
        if there != claimed:
            extra = 1 if key == "patch_shapes" else 0
            raise CheckpointError(
                f"{source}: its configuration claims {claimed - extra} for {key}, and its weights are those of "
                f"{there - extra}; restore both from where they came."
            )
