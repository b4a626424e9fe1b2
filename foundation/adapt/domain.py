"""Domain adapters: LoRA fitted to unlabelled recordings of one domain, without a head.

adapter_config.json, adapter_model.safetensors   written by PEFT, loadable by PEFT alone
domain.json                                      name, a hash of the base model, held-out loss without and with it
pretraining.json, content_hashes.safetensors     what the adapter saw, see `foundation.checkpoints.provenance`
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import cast

from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from foundation.adapt.adapter_files import FILES, read_lora, weights_hash
from foundation.adapt.lora import attach, attach_sum, write_lora
from foundation.data.shards.content_hashes import FILE_NAME as CONTENT_HASHES
from foundation.errors import CheckpointError
from foundation.files import new_folder
from foundation.models import TaskModel, WfmModel
from foundation.models.folder import read_object

DOMAIN = "domain.json"
#: What evaluation compares with test recordings, beside the adapter.
RECORD = ("pretraining.json", CONTENT_HASHES)


class Domain(BaseModel):
    """domain.json.

    Attributes:
        base, base_sha256: name or path of the base model, and `weights_hash` of its encoder.
        before, after: masked loss on held-out recordings of the domain, of the base and with the adapter.
        steps: optimizer steps of the state that was kept.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=1000)
    base: str = Field(max_length=4096)
    base_sha256: str = Field(max_length=64)
    before: float
    after: float
    steps: int = Field(ge=1)


def save_domain(lora: PeftModel, domain: Domain, folder: Path, beside: Callable[[Path], None]) -> None:
    """Write a domain adapter atomically to a new folder.

    Args:
        beside: writes the record of what it saw into the folder that it is given.

    Raises:
        CheckpointError: the folder exists; nothing is overwritten.
    """
    with new_folder(folder, CheckpointError) as partial:
        write_lora(lora, domain.base, partial)
        (partial / DOMAIN).write_text(domain.model_dump_json(indent=1), encoding="utf-8")
        beside(partial)


def read_domain(folder: Path) -> Domain:
    """domain.json of a folder.

    Raises:
        CheckpointError: it is no domain adapter, or damaged.
    """
    missing = [name for name in (*FILES[:2], DOMAIN, *RECORD) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder}: {missing[0]} is missing; 'wfm adapt' writes a domain adapter.")
    try:
        return Domain.model_validate(read_object(folder / DOMAIN))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"{folder}: cannot be read as a domain adapter ({DOMAIN}: {where}: {first['msg']})."
        ) from None


def merge_domain(encoder: WfmModel, folder: Path) -> WfmModel:
    """A copy of the base encoder with a domain adapter added to its weights.

    Raises:
        CheckpointError: as `read_domain`; or the adapter was fitted to other base weights, or its weights are damaged.
    """
    check_base(folder, weights_hash(encoder))
    lora = attach(copy.deepcopy(encoder), read_lora(folder, encoder), folder / FILES[1])
    merged = cast(WfmModel, lora.merge_and_unload())
    merged.eval()
    return merged


def add_domain(model: TaskModel, base: WfmModel, folder: Path) -> TaskModel:
    """A task model that was fitted with LoRA to `merge_domain(base, folder)`, as one adapter of `base` itself: its
    LoRA matrices are the exact sum of both.

    Raises:
        CheckpointError: as `merge_domain`.
    """
    check_base(folder, weights_hash(base))
    lora = cast(PeftModel, model.encoder)
    own = cast(LoraConfig, lora.peft_config["default"]), get_peft_model_state_dict(lora)
    both = attach_sum(copy.deepcopy(base), [read_lora(folder, base), own], folder / FILES[1])
    return TaskModel(both, model.head, model.pooling).eval()


def check_base(folder: Path, weights: str) -> None:
    """Check that a domain adapter was fitted to the encoder of this `weights_hash`.

    Raises:
        CheckpointError: as `read_domain`, or it was fitted to another.
    """
    domain = read_domain(folder)
    if domain.base_sha256 != weights:
        raise CheckpointError(
            f"{folder} was fitted to {domain.base}; the given encoder has other weights or another configuration. Load "
            "that base model first."
        )
