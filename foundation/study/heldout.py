"""The masked loss on held-out data, computed with the same objective for all variants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from foundation.config.study import HeldOutSection
from foundation.data.shards.address import is_url
from foundation.data.shards.content_hashes import hashes_of, known_among
from foundation.data.shards.manifest import Manifest
from foundation.data.tokens import tokenize
from foundation.errors import RecipeError
from foundation.models import WfmForMaskedModeling
from foundation.nn.masks import MASK_KINDS
from foundation.objectives import MaskedObjective
from foundation.signal import Signal
from foundation.study.plan import Run
from foundation.train.directory.provenance import hashes_in_training, seen_in_training, training_sessions

BATCH = 64
ALL = "all masks"


@torch.no_grad()
def held_out_losses(model: WfmForMaskedModeling, signals: Sequence[Signal]) -> dict[str, float]:
    """Mean squared error of hidden tokens, relative to the level of the visible entries, by mask kind; `ALL` is the
    mean over kinds.

    The objective is the plain masked loss with masks from a generator that is seeded by batch, whatever loss a variant
    was trained with; batches are weighted by their tokens. Losses of variants with other tokens (`model.patch_shapes`,
    `model.views`) are not comparable.
    """
    found = {kind: _loss(model, signals, kind) for kind in MASK_KINDS}
    return {ALL: sum(found.values()) / len(found), **found}


def _loss(model: WfmForMaskedModeling, signals: Sequence[Signal], kind: str) -> float:
    # The gate between prediction and interpolation is expensive and not part of this loss: one sample is the minimum.
    objective = MaskedObjective(masks={kind: 1.0}, generation_share=0.0, denoising_weight=0.0, gate_share=1 / BATCH)
    errors, tokens = [], []  # the errors are where the model is: they are fetched once
    for start in range(0, len(signals), BATCH):
        batch = tokenize(signals[start : start + BATCH], model.config)
        _, metrics = objective(model, batch, torch.Generator().manual_seed(start))
        errors.append(metrics["mse"])
        tokens.append(int(metrics["tokens"]))
    return float(np.average(torch.stack(errors).tolist(), weights=tokens))


def refuse_seen(held_out: HeldOutSection, runs: Sequence[Run]) -> None:
    """Check that no run trains on a held-out session, or on held-out samples under another name.

    Raises:
        RecipeError: one does; names the variant and the first session, or the number of samples.
        ShardError: shards are missing.
    """
    manifest = Manifest.load(held_out.shards)
    sessions = set(training_sessions(held_out, manifest))
    hashes = hashes_of([] if is_url(held_out.shards) else [held_out])
    checked: set[str] = set()
    for run in runs:
        data = f"{run.pretrain.data.model_dump_json()} {run.pretrain.init}"
        if data in checked or not run.trained:
            continue
        checked.add(data)
        for seen in seen_in_training(run.pretrain):
            both = sorted(sessions & set(seen.sessions))
            if both and seen.fingerprint == manifest.fingerprint():
                raise RecipeError(
                    f"held_out: variant {run.variant!r} trains on session {both[0]!r} of {held_out.shards}, which is "
                    "held out; hold out another part, or train on less."
                )
        if overlap := known_among(hashes, hashes_in_training(run.pretrain)):
            raise RecipeError(
                f"held_out: variant {run.variant!r} trains on {overlap} of the {len(hashes)} samples of "
                f"{held_out.shards} that are held out, from shards or sessions of another name; train without them."
            )
