"""Save and load adapters: a PEFT folder with the task head and the task beside it.

adapter_config.json, adapter_model.safetensors   written by PEFT, loadable by PEFT alone
head.safetensors                                 task head
task.json                                        label, classes, pooling, a hash of the base model, signals fitted to
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from peft import PeftModel

from foundation.data.labelled import Target
from foundation.data.seen import Seen
from foundation.errors import CheckpointError
from foundation.models import StackedHead, TaskModel, WfmModel
from foundation.models.config import architecture


@dataclass(frozen=True)
class Adapter:
    """A loaded adapter: the model in evaluation mode, and the target that it predicts."""

    model: TaskModel
    target: Target


def weights_hash(encoder: WfmModel) -> str:
    """SHA-256 of an encoder's configuration and weights, by which an adapter recognises its base model."""
    digest = hashlib.sha256(json.dumps(architecture(encoder.config)).encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().contiguous().cpu().view(torch.uint8).numpy().tobytes() if value.ndim else b"")
    return digest.hexdigest()


def save_adapter(
    model: TaskModel, target: Target, base: str, base_hash: str, folder: Path, seen: Seen | None = None
) -> None:
    """Write a LoRA-adapted task model atomically to a new folder.

    Args:
        base: name or path of the base model.
        base_hash: `weights_hash` of the base model.
        seen: the signals that it was fitted to, which `predict` compares with those it is given. None: not known.

    Raises:
        CheckpointError: the folder exists (nothing is overwritten), or the model carries no LoRA adapter.
    """
    if folder.exists():
        raise CheckpointError(f"{folder} exists and is left alone; set out= to a new folder, or delete it first.")
    if not isinstance(model.encoder, PeftModel):
        raise CheckpointError("only a model fitted with mode 'lora' can be saved as an adapter.")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model.encoder.peft_config["default"].base_model_name_or_path = base
    # By default PEFT queries the Hub for the vocabulary of the base model, and warns if there is none.
    model.encoder.save_pretrained(str(partial), save_embedding_layers=False)
    (partial / "README.md").unlink(missing_ok=True)  # PEFT's empty template; the card is written on push
    safetensors.torch.save_file(model.head.state_dict(), partial / "head.safetensors")
    task = {
        "label": target.label,
        "classes": target.classes,
        "size": target.size,
        "pooling": model.pooling,
        "base": base,
        "base_sha256": base_hash,
        "signals": None if seen is None else seen.model_dump(mode="json"),
    }
    (partial / "task.json").write_text(json.dumps(task, indent=1))
    partial.rename(folder)


def load_adapter(folder: Path, encoder: WfmModel) -> Adapter:
    """Attach a saved adapter and its head to `encoder`, which PEFT wraps in place; outputs equal the saved model's.

    Raises:
        CheckpointError: a file is missing or damaged, or the adapter was fitted to other base weights.
    """
    names = ("adapter_config.json", "adapter_model.safetensors", "head.safetensors", "task.json")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder}: {missing[0]} is missing; 'wfm finetune' writes {', '.join(names)}.")
    try:
        task = json.loads((folder / "task.json").read_text())
        base, base_hash, pooling = str(task["base"]), task["base_sha256"], str(task["pooling"])
        target = Target(task["label"], tuple(task["classes"]) if task["classes"] else None, task["size"])
        seen = None if task.get("signals") is None else Seen.model_validate(task["signals"])
        state = safetensors.torch.load_file(folder / "head.safetensors")
        # PEFT reads these two itself, but only after wrapping the encoder, and its errors do not name the folder.
        json.loads((folder / "adapter_config.json").read_text())
        safetensors.torch.load_file(folder / "adapter_model.safetensors")
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{folder}: cannot be read as an adapter ({error}).") from error
    if base_hash != weights_hash(encoder):
        raise CheckpointError(
            f"{folder} was fitted to {base}; the given encoder has other weights or another configuration. Load that "
            "base model first."
        )
    try:
        head = StackedHead.from_state(state, target.size)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder}: head.safetensors is not a head of this version; fit the adapter again."
        ) from error
    model = TaskModel(PeftModel.from_pretrained(encoder, folder), head, pooling).eval()
    model.seen = seen
    return Adapter(model, target)
