"""Load networks and their provenance from an exported folder, a training checkpoint, the Hub, or this package."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from foundation.checkpoints.exported import load_exported
from foundation.checkpoints.layout import run_of
from foundation.checkpoints.provenance import (
    PROVENANCE,
    Record,
    hashes_seen_by,
    load_record,
    record_of,
    refuse_earlier_name,
    refuse_pending,
)
from foundation.checkpoints.training import load_checkpoint
from foundation.config import PretrainRecipe
from foundation.config.yaml_errors import explain
from foundation.data.shards.content_hashes import FILE_NAME as CONTENT_HASHES
from foundation.data.shards.content_hashes import Hashes, load_hashes
from foundation.errors import CheckpointError
from foundation.models import WfmForMaskedModeling, WfmModel
from foundation.models.config import model_config
from foundation.models.weights import check_finite, check_shapes


def load_encoder(source: str | Path) -> WfmModel:
    """The encoder in fp32 and evaluation mode.

    Args:
        source: an exported folder, a training checkpoint (.ckpt), an org/name on the Hub, or the name of a released
            model such as "wfm-small".

    Raises:
        CheckpointError: there is none, or it is not a model of this library.
    """
    trained = _from_training(source)
    encoder = trained.encoder if trained else load_exported(source, WfmModel)
    encoder.eval()
    return encoder


def load_masked(source: str | Path) -> WfmForMaskedModeling:
    """As `load_encoder`, with the decoder and its heads."""
    model = _from_training(source) or load_exported(source, WfmForMaskedModeling)
    model.eval()
    return model


def provenance(source: str | Path) -> Record | None:
    """The data sets, splits, parts and sessions of pretraining; None if there is no record beside the weights.

    Args:
        source: as for `load_encoder`, so that leakage can be checked for everything that can be evaluated. Paths named
            inside a checkpoint are never opened: it may be untrusted.

    Raises:
        CheckpointError: the record is damaged, or the Hub cannot be asked.
    """
    if not _is_training(source):
        return record_of(source)
    path = run_of(Path(source)) / PROVENANCE
    return load_record(path) if path.is_file() else None


def content_hashes(source: str | Path) -> Hashes | None:
    """Hashes of the samples of pretraining, including those of its initial model; None if there is no record.

    Args:
        source: as for `load_encoder`.

    Raises:
        CheckpointError: as `provenance`, or its run has not prepared them yet.
    """
    if not _is_training(source):
        return hashes_seen_by(source)
    path = run_of(Path(source)) / CONTENT_HASHES
    refuse_earlier_name(path.parent)
    refuse_pending(path.parent)
    return load_hashes(path) if path.is_file() else None


def _is_training(source: str | Path) -> bool:
    return Path(source).suffix == ".ckpt"


def _from_training(source: str | Path) -> WfmForMaskedModeling | None:
    """The network of a training checkpoint; None where `source` does not name one."""
    if not _is_training(source):
        return None
    return from_checkpoint(Path(source))[1]


def from_checkpoint(path: Path) -> tuple[PretrainRecipe, WfmForMaskedModeling]:
    """The recipe and the network of a training checkpoint, in evaluation mode.

    Raises:
        CheckpointError: it cannot be read, or its weights are not those of its recipe's network.
    """
    raw, weights = load_checkpoint(path)
    try:
        recipe = PretrainRecipe.model_validate(raw)
    except ValidationError as error:
        raise CheckpointError(f"recipe of {explain(path, error, PretrainRecipe)}") from None
    config = model_config(recipe)
    if not check_shapes(path, {name: tuple(value.shape) for name, value in weights.items()}, config):
        raise CheckpointError(f"{path}: holds the encoder alone; expected what 'wfm pretrain' wrote.")
    check_finite(path, weights)
    model = WfmForMaskedModeling(config).eval()
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # sparse or quantised tensors have the right shapes and are no weights
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{path}: its weights are not those of its recipe's network ({reason}).") from error
    return recipe, model
