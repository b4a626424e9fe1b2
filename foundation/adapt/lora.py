"""LoRA matrices on an encoder: attach new or saved ones, write them, and sum several exactly."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from torch import Tensor, nn

from foundation.errors import CheckpointError

#: Modules with LoRA: every matrix of the encoder's blocks (Hu et al. 2021, arXiv 2106.09685, adapt attention only).
ATTENTION, FEED_FORWARD = ["qkv", "proj"], ["up", "down"]
LORA_MODULES = [*ATTENTION, *FEED_FORWARD]

#: Configuration of an adapter, and its matrices as PEFT saves them.
Saved = tuple[LoraConfig, Mapping[str, Tensor]]


def with_lora(encoder: nn.Module, rank: int, modules: Sequence[str] = LORA_MODULES) -> PeftModel:
    """New LoRA matrices, whose sum is 0, inside `encoder`, whose other parameters are frozen; their alpha is twice the
    rank. torch's global generator draws them."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(modules))
    with _quietly():
        model: PeftModel = get_peft_model(encoder, config)
    return model


def attach(encoder: nn.Module, saved: Saved, where: Path) -> PeftModel:
    """Saved LoRA matrices inside `encoder`.

    Raises:
        CheckpointError: this version of PEFT has another name for one; `where` is the file that is named.
    """
    with _quietly():
        model = PeftModel(encoder, saved[0])
    _fill(model, "default", saved, where)
    return model


def attach_sum(encoder: nn.Module, parts: Sequence[Saved], where: Path) -> PeftModel:
    """One adapter inside `encoder` that is the exact sum of several: their matrices side by side, so that its rank is
    the sum of their ranks. Raises as `attach`."""
    names = [f"part-{number}" for number in range(len(parts))]
    with _quietly():
        model = PeftModel(encoder, parts[0][0], adapter_name=names[0])
    for name, (config, _) in zip(names[1:], parts[1:], strict=True):
        model.add_adapter(name, config)
    for name, saved in zip(names, parts, strict=True):
        _fill(model, name, saved, where)
    model.add_weighted_adapter(names, [1.0] * len(names), "default", combination_type="cat")
    model.set_adapter("default")
    for name in names:
        model.delete_adapter(name)
    return model


def write_lora(model: PeftModel, base: str, folder: Path) -> None:
    """adapter_config.json and adapter_model.safetensors, which PEFT loads alone.

    Args:
        base: name or path of the base model.
    """
    model.peft_config["default"].base_model_name_or_path = base
    # By default PEFT queries the Hub for the vocabulary of the base model, and warns if there is none.
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty template; the card is written on push


@contextmanager
def _quietly() -> Iterator[None]:
    """PEFT uses an attribute that transformers has deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        yield


def _fill(model: PeftModel, name: str, saved: Saved, where: Path) -> None:
    report: Any = set_peft_model_state_dict(model, dict(saved[1]), adapter_name=name)
    missing = (key for key in report.missing_keys if ".lora_" in key and f".{name}." in key)
    if left := [*report.unexpected_keys, *missing]:
        raise CheckpointError(f"{where}: {len(left)} weights have no place in this version of PEFT, first {left[0]}.")
