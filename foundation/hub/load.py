"""Models from an exported folder, a training checkpoint or the Hub, and the record of what they were pretrained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from transformers import PreTrainedModel

from foundation.errors import CheckpointError
from foundation.models import WfmForMaskedModeling, WfmModel
from foundation.recipe import PretrainRecipe
from foundation.train.checkpoint import load_checkpoint
from foundation.train.module import model_config

PROVENANCE = "pretraining.json"
M = TypeVar("M", bound=PreTrainedModel)


def load_encoder(source: str | Path) -> WfmModel:
    """The encoder from an exported folder, a training checkpoint, or an org/name on the Hub (fp32, evaluation mode).

    Raises:
        CheckpointError: there is none, or it is not one of this library's.
    """
    trained = _from_training(source)
    encoder = trained.encoder if trained else _from_folder(source, WfmModel)
    encoder.eval()
    return encoder


def load_masked(source: str | Path) -> WfmForMaskedModeling:
    """As `load_encoder`, with the decoder and both heads."""
    model = _from_training(source) or _from_folder(source, WfmForMaskedModeling)
    model.eval()
    return model


def provenance(source: str | Path) -> list[dict[str, Any]]:
    """What an exported folder's pretraining saw: data set, split, part, sessions; empty where not recorded."""
    path = Path(source) / PROVENANCE
    return list(json.loads(path.read_text())["datasets"]) if path.is_file() else []


def _from_training(source: str | Path) -> WfmForMaskedModeling | None:
    """The network of a training checkpoint; None where `source` does not name one."""
    path = Path(source)
    if path.suffix != ".ckpt":
        return None
    raw, weights = load_checkpoint(path)
    model = WfmForMaskedModeling(model_config(PretrainRecipe.model_validate(raw)))
    model.load_state_dict(weights)
    return model


def _from_folder(source: str | Path, kind: type[M]) -> M:
    if not Path(source).is_dir() and str(source).count("/") != 1:
        raise CheckpointError(f"{source}: no such folder; give an exported folder, a .ckpt file or an org/name.")
    try:
        loaded: Any = kind.from_pretrained(source, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{source}: cannot be loaded as a model of this library ({reason}).") from error
    model: M
    model, report = loaded
    if report["missing_keys"]:
        raise CheckpointError(
            f"{source}: lacks {len(report['missing_keys'])} weights, first {sorted(report['missing_keys'])[0]}."
        )
    return model
