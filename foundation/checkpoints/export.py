"""Export a training checkpoint to a folder for `AutoModel.from_pretrained`: safetensors, config, provenance, card.

The export is verified before the folder appears: the reloaded model must give bit-identical outputs.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from foundation.checkpoints.card import CardFacts, write_card
from foundation.checkpoints.exported import quietly
from foundation.checkpoints.load import content_hashes, provenance
from foundation.checkpoints.provenance import PROVENANCE, Record, save_record
from foundation.checkpoints.training import load_checkpoint
from foundation.config import PretrainRecipe
from foundation.data.shards.content_hashes import FILE_NAME, save_hashes
from foundation.data.tokens import tokenize
from foundation.errors import CheckpointError
from foundation.models import WfmForMaskedModeling, WfmModel
from foundation.models.config import model_config
from foundation.results.rows import load_rows
from foundation.signal import KINDS, Link, Signal


def export(checkpoint: Path, folder: Path, rows: Path | None = None) -> Path:
    """Write `folder` from a training checkpoint (a .ckpt file, or a DeepSpeed directory of any ZeRO stage).

    Args:
        rows: file of result rows for the model card.

    Raises:
        CheckpointError: the folder exists (nothing is overwritten), the checkpoint cannot be read or does not fit its
            recipe, its run has no provenance record, or the exported model differs from the trained one.
    """
    if folder.exists():
        raise CheckpointError(f"{folder} exists and is left alone; choose another folder, or delete it first.")
    raw, weights = load_checkpoint(checkpoint)
    record = provenance(checkpoint)
    if record is None:
        raise CheckpointError(
            f"{checkpoint}: its run has no {PROVENANCE}, the record of its training data; give a checkpoint inside its "
            "run directory. If an earlier version wrote that, call 'wfm pretrain' with its recipe once more: it adds "
            "the record without training."
        )
    recipe = PretrainRecipe.model_validate(raw)
    model = WfmForMaskedModeling(model_config(recipe)).eval()
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{checkpoint}: its weights do not fit its own recipe ({reason}).") from error
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    with quietly():
        model.save_pretrained(partial)
    save_record(partial / PROVENANCE, record)
    if (seen := content_hashes(checkpoint)) is not None:
        save_hashes(partial / FILE_NAME, seen)
    write_card(partial, _facts(recipe.name, record, model, rows))
    _verify(model, partial)
    partial.rename(folder)
    return folder


def _facts(name: str, record: Record, model: WfmForMaskedModeling, rows: Path | None) -> CardFacts:
    return CardFacts(
        repo_id=f"ORG/{name}",
        parameters=sum(p.numel() for p in model.parameters()),
        kinds=list(dict.fromkeys(kind for seen in record.datasets for kind in seen.kinds)),
        data=record.datasets,
        rows=load_rows(rows) if rows else (),
    )


def _verify(model: WfmForMaskedModeling, folder: Path) -> None:
    """Delete the folder and raise unless the reloaded model gives bit-identical outputs for every kind of signal."""
    signals = [_probe_signal(kind) for kind in KINDS]
    batch = tokenize(signals, model.config)
    visible = batch["observed"].any(-1)
    with quietly():
        again = WfmForMaskedModeling.from_pretrained(folder).eval()
        encoder = WfmModel.from_pretrained(folder).eval()
    with torch.no_grad():
        same = torch.equal(model.reconstruct(visible, **batch), again.reconstruct(visible, **batch))
        hidden = model.encoder(**batch).last_hidden_state
        same = same and torch.equal(hidden, encoder(**batch).last_hidden_state)
    if not same:
        shutil.rmtree(folder)
        raise CheckpointError(
            f"{folder}: the exported model's outputs differ from the trained one's; the export was deleted."
        )


def _probe_signal(kind: str) -> Signal:
    rng = np.random.default_rng(0)
    real = kind in ("csi-amplitude", "spectrogram", "rssi")
    field = rng.standard_normal((24, 2, 40)) + (0 if real else 1j) * rng.standard_normal((24, 2, 40))
    return Signal(
        values=field.astype(np.complex64),
        time_s=np.arange(24) / 100,
        links=(Link(0, 0), Link(0, 1)),
        frequency_hz=np.arange(40, dtype=np.float64) * 312.5e3,
        kind=kind,
        carrier_hz=5.2e9,
        is_real=real,
    )
