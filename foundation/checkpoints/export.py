"""Export a training checkpoint to a folder for `AutoModel.from_pretrained`: safetensors, config, provenance, card.

The export is verified before the folder appears: the reloaded model must give bit-identical outputs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from foundation.checkpoints.card import CardFacts, model_name, write_card
from foundation.checkpoints.exported import quietly
from foundation.checkpoints.feature_extractor import WfmFeatureExtractor
from foundation.checkpoints.load import content_hashes, from_checkpoint, provenance
from foundation.checkpoints.provenance import PROVENANCE, Record, save_record
from foundation.data.shards.content_hashes import FILE_NAME, save_hashes
from foundation.data.tokens import tokenize
from foundation.errors import CheckpointError
from foundation.files import exclusive, new_folder
from foundation.models import WfmForMaskedModeling, WfmModel
from foundation.results.rows import load_rows
from foundation.signal import KINDS, Link, Signal


def export(checkpoint: Path, folder: Path, rows: Path | None = None) -> Path:
    """Write `folder` from a training checkpoint (a .ckpt file, or a DeepSpeed directory of any ZeRO stage).

    Args:
        rows: file of result rows for the model card.

    Raises:
        CheckpointError: the folder exists (nothing is overwritten), the checkpoint cannot be read or does not fit its
            recipe, its run has no provenance record, or the exported model differs from the trained one.
        WfmError: another command is writing the folder.
    """
    if folder.exists():  # before the checkpoint is read
        raise CheckpointError(f"{folder} exists and is left alone; choose another folder, or delete it first.")
    with exclusive(folder):
        return _export(checkpoint, folder, rows)


def _export(checkpoint: Path, folder: Path, rows: Path | None) -> Path:
    record = provenance(checkpoint)
    recipe, model = from_checkpoint(checkpoint)
    if record is None:
        raise CheckpointError(
            f"{checkpoint}: its run has no {PROVENANCE}, the record of its training data; give a checkpoint inside its "
            "run directory. If an earlier version wrote that, call 'wfm pretrain' with its recipe once more: it adds "
            "the record without training."
        )
    with new_folder(folder, CheckpointError) as partial:
        with quietly():
            model.save_pretrained(partial)
        WfmFeatureExtractor.of(model.config).save_pretrained(partial)
        save_record(partial / PROVENANCE, record)
        if (seen := content_hashes(checkpoint)) is not None:
            save_hashes(partial / FILE_NAME, seen)
        write_card(partial, _facts(recipe.name, record, model, rows))
        _verify(model, partial)
    return folder


def _facts(name: str, record: Record, model: WfmForMaskedModeling, rows: Path | None) -> CardFacts:
    return CardFacts(
        repo_id=f"ORG/{model_name(name)}",
        parameters=sum(p.numel() for p in model.parameters()),
        kinds=list(dict.fromkeys(kind for seen in record.datasets for kind in seen.kinds)),
        data=record.datasets,
        rows=load_rows(rows) if rows else (),
    )


def _verify(model: WfmForMaskedModeling, folder: Path) -> None:
    """Raise unless the reloaded model gives bit-identical outputs for every kind of signal."""
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
        raise CheckpointError("the exported model's outputs differ from the trained one's; the export was deleted.")


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
