"""One adapter from the adapter of a task and that of a domain, compared with both before it appears."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import nn

from foundation.adapt.adapter_files import FILES, load_adapter, read_lora
from foundation.adapt.domain import RECORD, merge_domain, read_domain
from foundation.adapt.lora import attach, attach_sum, write_lora
from foundation.data.labelled import TokenSet
from foundation.data.seen import Seen
from foundation.errors import CheckpointError
from foundation.files import new_folder
from foundation.models import WfmModel
from foundation.models.structure import inputs_of
from foundation.signal import Link, Signal

#: Largest difference of outputs, relative to their size: rounding of float32.
CLOSE = 1e-4


def compose(encoder: WfmModel, task: Path, domain: Path, out: Path) -> float:
    """Write an adapter folder whose LoRA matrices are the exact sum of those of a task and of a domain, with the head
    of the task; `load_adapter` loads it, and it holds the record of what the domain adapter saw.

    Args:
        encoder: the base of both, which stays as it is.

    Returns:
        Largest difference of an output of the encoder on random signals, as loaded again, from the task adapter on the
        encoder with the domain merged into its weights; relative to the largest output.

    Raises:
        CheckpointError: one of them cannot be loaded or has another base; `out` exists; or the outputs differ.
    """
    seen = load_adapter(task, copy.deepcopy(encoder)).model.seen
    expected = attach(merge_domain(encoder, domain), read_lora(task, encoder), task / FILES[1])
    lora = attach_sum(copy.deepcopy(encoder), [read_lora(domain, encoder), read_lora(task, encoder)], out)
    with new_folder(out, CheckpointError) as partial:
        write_lora(lora, read_domain(domain).base, partial)
        for source, name in [*((task, name) for name in FILES[2:]), *((domain, name) for name in RECORD)]:
            shutil.copyfile(source / name, partial / name)
        found = load_adapter(partial, copy.deepcopy(encoder)).model.encoder
        apart = _apart(expected, found, TokenSet(_like(seen), encoder.config))
        if not apart <= CLOSE:
            raise CheckpointError(
                f"{out}: its outputs differ from those of both adapters by {apart:.1e} of the largest, so it is not "
                "saved; fit them again."
            )
    return apart


@torch.no_grad()
def _apart(first: nn.Module, second: nn.Module, data: TokenSet) -> float:
    """Largest difference of a token between two encoders; their heads, which may read one shape alone, are one file."""
    device = next(first.parameters()).device
    inputs = inputs_of(data.batch(np.arange(len(data))), len(data.spec.patch_shapes), device)
    states = [model.eval()(return_dict=True, **inputs).last_hidden_state.double() for model in (first, second)]
    return float((states[0] - states[1]).abs().max() / states[0].abs().max().clamp(min=1e-12))


def _like(seen: Seen | None) -> list[Signal]:
    """Random signals of the kind and the shape that an adapter was fitted to."""
    rng = np.random.default_rng(0)
    kind = seen.kinds[0] if seen else "csi"
    times, (links, responses) = (seen.times[0], seen.grids[0]) if seen else (32, (2, 64))
    real = kind in ("csi-amplitude", "spectrogram", "rssi")
    shape = (4, times, links, responses)
    values = np.abs(rng.standard_normal(shape)) + 1 + (0 if real else 1j) * rng.standard_normal(shape)
    return [
        Signal(
            values=each.astype(np.complex64),
            time_s=np.arange(times) / 100,
            links=tuple(Link(0, number) for number in range(links)),
            frequency_hz=np.arange(responses, dtype=np.float64) * 312.5e3,
            kind=kind,
            carrier_hz=5.2e9,
            is_real=real,
        )
        for each in values
    ]
