"""What an adapter folder holds, in a few words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foundation.adapt.adapter_config import lora_config
from foundation.adapt.adapter_files import FILES, read_task
from foundation.adapt.domain import DOMAIN, read_domain
from foundation.adapt.memory import Memory
from foundation.errors import CheckpointError


def adapters_below(folder: Path) -> Iterator[Path]:
    """Folders of task and domain adapters, the folder itself among them.

    Raises:
        CheckpointError: there is none.
    """
    found = sorted(path.parent for path in folder.rglob(FILES[0]) if not path.parent.name.startswith("."))
    if not found:
        raise CheckpointError(f"{folder}: no adapter lies here; 'wfm finetune' and 'wfm adapt' write them.")
    yield from found


def summary_of(folder: Path) -> dict[str, str]:
    """Name of a fact -> its text: kind, name, base, rank, size, and what it predicts or how much it lowered the loss.

    Raises:
        CheckpointError: it is no adapter, or damaged.
    """
    is_domain = (folder / DOMAIN).is_file()
    if is_domain:
        domain = read_domain(folder)
        facts = {"kind": "domain", "name": domain.name, "base": domain.base}
        rest = {"held-out masked loss": f"{domain.after:.4f} at step {domain.steps}, {domain.before:.4f} without it"}
    else:
        task = read_task(folder)
        facts = {"kind": "task", "name": task.label, "base": task.base}
        predicts = ", ".join(task.classes) if task.classes else f"{task.size} numbers"
        rest = {"predicts": predicts, "pooling": task.pooling}
        if (memory := Memory.load(folder, task.base_sha256)) is not None:
            rest |= {"remembers": memory.in_words(), "from": ", ".join(memory.recordings)}
    config = lora_config(folder / FILES[0])
    size = sum(path.stat().st_size for path in folder.iterdir() if path.suffix == ".safetensors")
    return {**facts, "rank": str(config.r), "size": f"{size / 1e6:.1f} MB", **rest}
