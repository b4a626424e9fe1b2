"""Save and load adapters: a PEFT folder with the task head and the task beside it.

adapter_config.json, adapter_model.safetensors   written by PEFT, loadable by PEFT alone
head.safetensors                                 task head
task.json                                        label, classes, pooling, a hash of the base model, signals fitted to
calibration.safetensors                          how sure it is and what it knows, `foundation.adapt.calibration`
memory.safetensors                               examples that were added since, if any, `foundation.adapt.memory`
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import safetensors.torch
import torch
from peft import PeftModel
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from foundation.adapt.adapter_config import lora_config, lora_shapes
from foundation.adapt.calibration import FILE as CALIBRATION
from foundation.adapt.calibration import Calibration
from foundation.adapt.lora import Saved, attach, write_lora
from foundation.adapt.memory import FILE as MEMORY
from foundation.adapt.select_pooling import POOLINGS
from foundation.data.labelled import Target
from foundation.data.seen import Seen
from foundation.errors import CheckpointError
from foundation.files import new_folder
from foundation.models import StackedHead, TaskModel, WfmModel
from foundation.models.config import architecture
from foundation.models.folder import fetched, read_object
from foundation.models.weights import check_finite, compare, read_shapes
from foundation.released import SHOWN, is_repository, name_of

FILES = ("adapter_config.json", "adapter_model.safetensors", "head.safetensors", "task.json")


@dataclass(frozen=True)
class Adapter:
    """A loaded adapter: the model in evaluation mode, the target that it predicts, and how sure it is of that (None: it
    was fitted without, as by earlier versions)."""

    model: TaskModel
    target: Target
    calibration: Calibration | None = None


class _Task(BaseModel):
    """task.json."""

    model_config = ConfigDict(strict=True, extra="forbid")

    label: str = Field(min_length=1, max_length=1000)
    classes: list[Annotated[str, Field(max_length=1000)]] | None
    size: int = Field(ge=1, le=10**6)
    pooling: str = Field(pattern=rf"^({'|'.join(POOLINGS)})(\+({'|'.join(POOLINGS)}))*$", max_length=1000)
    base: str = Field(max_length=4096)
    base_sha256: str = Field(max_length=64)
    signals: Seen | None = None

    @model_validator(mode="after")
    def _one_output_per_class(self) -> _Task:
        if self.classes is not None and len(set(self.classes)) != self.size:
            raise ValueError(f"size={self.size}, and classes names {len(set(self.classes))} different ones")
        return self


def weights_hash(encoder: WfmModel) -> str:
    """SHA-256 of an encoder's configuration and weights, by which an adapter recognises its base model."""
    digest = hashlib.sha256(json.dumps(architecture(encoder.config)).encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().contiguous().cpu().view(torch.uint8).numpy().tobytes() if value.ndim else b"")
    return digest.hexdigest()


def save_adapter(
    model: TaskModel,
    target: Target,
    base: str,
    base_hash: str,
    folder: Path,
    seen: Seen | None = None,
    beside: Callable[[Path], None] | None = None,
) -> None:
    """Write a LoRA-adapted task model atomically to a new folder.

    Args:
        base: name or path of the base model.
        base_hash: `weights_hash` of the base model.
        seen: the signals that it was fitted to, which `predict` compares with those it is given. None: not known.
        beside: writes further files into the folder that it is given, such as a `Calibration`, which appear together
            with the adapter.

    Raises:
        CheckpointError: the folder exists, also if another command has made it meanwhile (nothing is overwritten), or
            the model carries no LoRA adapter.
    """
    if not isinstance(model.encoder, PeftModel):
        raise CheckpointError("only a model fitted with mode 'lora' can be saved as an adapter.")
    base = name_of(base)
    task = _Task(
        label=target.label,
        classes=None if target.classes is None else list(target.classes),
        size=target.size,
        pooling=model.pooling,
        base=base,
        base_sha256=base_hash,
        signals=seen,
    )
    with new_folder(folder, CheckpointError) as partial:
        write_lora(model.encoder, base, partial)
        safetensors.torch.save_file(model.head.state_dict(), partial / "head.safetensors")
        (partial / "task.json").write_text(task.model_dump_json(indent=1), encoding="utf-8")
        if beside is not None:
            beside(partial)


def adapter_folder(source: str | Path) -> Path:
    """The folder of an adapter: as given, or of an org/name on the Hub, of which only the files of an adapter are
    fetched.

    Raises:
        CheckpointError: there is none, or the Hub has none or cannot be reached.
    """
    shown = repr(str(source)[:SHOWN])[1:-1]
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return path
        below = isinstance(source, Path) or path.exists() or path.parent.is_dir()
    except (OSError, ValueError, RuntimeError):  # a name that is too long, holds a null, or ~ of an unknown user
        below = True
    if below or not is_repository(str(source)):
        raise CheckpointError(
            f"{shown}: no such folder of an adapter; give one that 'wfm finetune' wrote, or an org/name on the Hub."
        )
    return fetched(str(source), [*FILES, CALIBRATION, MEMORY], {})


def base_of(folder: Path) -> str:
    """Name or path of the base model that an adapter was fitted to.

    Raises:
        CheckpointError: task.json is missing or damaged.
    """
    return read_task(folder).base


def load_adapter(folder: Path, encoder: WfmModel) -> Adapter:
    """Attach a saved adapter and its head to `encoder`, which PEFT wraps in place; outputs equal the saved model's.

    Raises:
        CheckpointError: a file is missing or damaged, a weight is missing, unknown, of another shape or not finite, the
            head does not fit the classes, or the adapter was fitted to other base weights.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder}: {missing[0]} is missing; 'wfm finetune' writes {', '.join(FILES)}.")
    task = read_task(folder)
    if task.base_sha256 != weights_hash(encoder):
        raise CheckpointError(
            f"{folder} was fitted to {task.base}; the given encoder has other weights or another configuration. Load "
            "that base model first."
        )
    saved = read_lora(folder, encoder)
    head = _read_head(folder, task)
    target = Target(task.label, None if task.classes is None else tuple(task.classes), task.size)
    model = TaskModel(attach(encoder, saved, folder / FILES[1]), head, task.pooling).eval()
    model.seen = task.signals
    return Adapter(model, target, Calibration.load(folder))


def read_lora(folder: Path, encoder: WfmModel) -> Saved:
    """The LoRA matrices of an adapter folder, which fit `encoder`.

    Raises:
        CheckpointError: they are damaged, of another kind or shape, or not finite.
    """
    config, weights = lora_config(folder / FILES[0]), folder / FILES[1]
    compare(weights, read_shapes(weights), lora_shapes(encoder, config))
    state = safetensors.torch.load_file(weights)
    check_finite(weights, state)
    return config, state


def read_task(folder: Path) -> _Task:
    """task.json of a folder.

    Raises:
        CheckpointError: it is no adapter of this library, or damaged.
    """
    try:
        return _Task.model_validate(read_object(folder / "task.json"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{folder}: cannot be read as an adapter (task.json: {where}: {first['msg']}).") from None


def _read_head(folder: Path, task: _Task) -> StackedHead:
    path = folder / "head.safetensors"
    try:
        state = safetensors.torch.load_file(path)
        check_finite(path, state)
        return StackedHead.from_state(state, task.size)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}).") from error
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path}: is not a head of this version with {task.size} outputs; fit the adapter again."
        ) from error
