"""Models from an exported folder, a training checkpoint or the Hub, and the record of what they were pretrained on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HTTPError, RemoteEntryNotFoundError  # type: ignore[attr-defined]
from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging

from foundation.data.contents import FILE_NAME as CONTENTS
from foundation.data.contents import Hashes, load_hashes
from foundation.data.manifest import Manifest, count_sessions
from foundation.data.stream import Corpus
from foundation.errors import CheckpointError
from foundation.hub.released import released, resolve
from foundation.models import WfmForMaskedModeling, WfmModel
from foundation.recipe import CorpusSection, PretrainRecipe
from foundation.train.checkpoint import load_checkpoint
from foundation.train.module import model_config
from foundation.train.parts import part_of

PROVENANCE = "pretraining.json"
M = TypeVar("M", bound=PreTrainedModel)


def load_encoder(source: str | Path) -> WfmModel:
    """The encoder from an exported folder, a training checkpoint, an org/name on the Hub, or one that comes with the
    package, such as "wfm-small" (fp32, evaluation mode).

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
    """What pretraining saw: data set, split, part, sessions; empty where an export holds no record.

    Args:
        source: as for `load_encoder`: whatever can be evaluated must answer here, or a leak goes unseen.

    Raises:
        CheckpointError: the checkpoint is damaged, or the Hub cannot be asked.
        ShardError: the shards that a training checkpoint was trained on are gone.
    """
    path = Path(source := resolve(source))
    if path.suffix == ".ckpt":
        recipe = PretrainRecipe.model_validate(load_checkpoint(path)[0])
        return seen_in_training(recipe)
    record = path / PROVENANCE if path.is_dir() else _on_hub(str(source), PROVENANCE)
    return list(json.loads(record.read_text())["datasets"]) if record is not None and record.is_file() else []


def seen_in_training(recipe: PretrainRecipe) -> list[dict[str, Any]]:
    """The record of a recipe, after that of the model it went on from.

    Raises:
        ShardError: shards that it was trained on are gone.
    """
    entries = []
    for source in recipe.data.sources:
        manifest = Manifest.load(source.shards)
        entries.append(
            {
                "name": manifest.name,
                "fingerprint": manifest.fingerprint(),
                "split": source.split,
                "part": source.part,
                "sessions": sorted(training_sessions(source, manifest)),
            }
        )
    return [*(provenance(recipe.init) if recipe.init else []), *entries]


def contents(source: str | Path) -> Hashes | None:
    """Hashes of the samples that pretraining saw, that of the model it went on from included; None: none on record.

    Args:
        source: as for `load_encoder`.

    Raises:
        CheckpointError: a record is damaged, or the Hub cannot be asked.
    """
    path = Path(source := resolve(source))
    if path.suffix != ".ckpt":
        record = path / CONTENTS if path.is_dir() else _on_hub(str(source), CONTENTS)
        return load_hashes(record) if record is not None and record.is_file() else None
    record = path.parent.parent / CONTENTS  # of the run, whose folder of checkpoints this is
    init = PretrainRecipe.model_validate(load_checkpoint(path)[0]).init
    found = [load_hashes(record) if record.is_file() else None, contents(init) if init else None]
    known = [hashes for hashes in found if hashes is not None]
    return np.unique(np.concatenate(known)) if known else None


def training_sessions(source: CorpusSection, manifest: Manifest) -> dict[str, int]:
    """Sessions of a corpus that training reads, with the number of samples that it reads of each."""
    if part_of(source).is_thinned:
        return Corpus(part_of(source)).sessions
    counts = count_sessions(manifest.shards)
    if source.split and source.part:
        return {session: counts[session] for session in manifest.sessions(source.split, source.part)}
    return counts


def _on_hub(repo_id: str, name: str) -> Path | None:
    try:
        return Path(hf_hub_download(repo_id, name))
    except RemoteEntryNotFoundError:
        return None
    except (HTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{repo_id}: what it was pretrained on cannot be read from the Hub ({reason})."
        ) from error


@contextmanager
def quietly() -> Iterator[None]:
    """Without transformers' bars for a file on this disk and its advice on classes: our errors say what is wrong."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


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
    source = resolve(source)
    if not Path(source).is_dir() and str(source).count("/") != 1:
        raise CheckpointError(
            f"{source}: no such folder; give an exported folder, a .ckpt file, an org/name, "
            f"or one that comes with the package: {', '.join(released())}."
        )
    try:
        with quietly() if Path(source).is_dir() else nullcontext():
            loaded: Any = kind.from_pretrained(source, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{source}: cannot be loaded as a model of this library ({reason}).") from error
    model: M
    model, report = loaded
    if report["missing_keys"]:
        raise CheckpointError(
            f"{source}: lacks {len(report['missing_keys'])} weights, first {sorted(report['missing_keys'])[0]}."
        )
    return model
