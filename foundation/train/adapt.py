"""`adapt(recipe)`: continue pretraining on unlabelled recordings of a domain, LoRA alone, and save the adapter.

The end of every session is held out. Its masked loss under fixed masks chooses the state that is kept, and stops the
training; an adapter that does not lower it is not saved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foundation.adapt.adapter_files import weights_hash
from foundation.adapt.domain import Domain, save_domain
from foundation.adapt.lora import ATTENTION, FEED_FORWARD, LORA_MODULES, with_lora
from foundation.checkpoints.load import load_masked
from foundation.checkpoints.provenance import PROVENANCE, Record, save_record
from foundation.config import AdaptRecipe
from foundation.data.labelled import TokenSet
from foundation.data.shards.content_hashes import FILE_NAME as CONTENT_HASHES
from foundation.data.shards.content_hashes import hashes_of, save_hashes
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest
from foundation.data.shuffle import endless_batches
from foundation.errors import CheckpointError, TrainingError
from foundation.files import exclusive, refuse_existing
from foundation.machine import on_device, set_threads
from foundation.models import WfmForMaskedModeling
from foundation.models.structure import to_device
from foundation.nn.patches import cut
from foundation.objectives import MaskedObjective
from foundation.objectives.held_out import held_out
from foundation.progress import StepProgress
from foundation.released import name_of
from foundation.signal import Signal
from foundation.train.callbacks.held_out import masked_in_every_way
from foundation.train.directory.provenance import seen_of
from foundation.train.tasks import Tasks

MODULES = {"all": LORA_MODULES, "attention": ATTENTION, "feed-forward": FEED_FORWARD}
#: Of the objective of pretraining, what trains an encoder on recordings: the mean of hidden tokens and the statistics.
#: Facts are labels of a simulator; the gate is frozen, and sees as little as it may.
OBJECTIVE = MaskedObjective(denoising_weight=0.0, generation_share=0.0, facts_weight=0.0, gate_share=0.01)
LOOKED_AT = 128  # held-out samples, evenly spaced: a look takes as long as a few steps


@dataclass
class Best:
    """The state with the lowest held-out masked loss.

    Attributes:
        start: loss of the base.
        losses: of all looks, that of step 0 first.
        step, weights: of the state.
    """

    start: float
    losses: list[float] = field(default_factory=list)
    step: int = 0
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        return min([self.start, *self.losses])

    def look(self, loss: float, step: int, weights: Mapping[str, Tensor]) -> None:
        """Keep a copy of the weights if none before had a lower loss."""
        if loss < self.loss:
            self.step, self.weights = step, {name: value.detach().clone() for name, value in weights.items()}
        self.losses.append(loss)

    def waited(self) -> int:
        """Looks since the best."""
        lowest = [self.start, *self.losses].index(self.loss)
        return len(self.losses) - lowest


def adapt(recipe: AdaptRecipe) -> Best:
    """Fit the adapter and save it into `recipe.out`, with the record of what it saw.

    Raises:
        CheckpointError: `recipe.out` exists (nothing is overwritten), or the checkpoint cannot be loaded or lacks its
            decoder.
        ShardError: the recordings cannot be read.
        TrainingError: there are too few, the loss is not finite, or no state has a lower held-out loss than the base.
        WfmError: another process writes the folder.
    """
    refuse_existing(recipe.out, CheckpointError)  # before minutes of training, not after
    with exclusive(recipe.out):
        print(f"{recipe.out}: {set_threads(recipe.threads)}.", flush=True)
        return _adapt(recipe)


def _adapt(recipe: AdaptRecipe) -> Best:
    model = on_device(load_masked(recipe.checkpoint), recipe.device)
    base_hash = weights_hash(model.encoder)
    signals = list(Corpus(recipe.data))
    rows, kept_back = split_sessions([signal.session for signal in signals], recipe.held_out)
    if len(rows) < 2 or not len(kept_back):
        raise TrainingError(
            f"{recipe.data.shards}: {len(signals)} samples of which {len(kept_back)} are held out are too few to adapt "
            "to; give minutes of recordings, or another share held_out."
        )
    torch.manual_seed(recipe.seed)
    model.requires_grad_(False)
    lora = with_lora(model.encoder, recipe.rank, MODULES[recipe.targets])
    looked_at = np.unique(np.linspace(0, len(kept_back) - 1, LOOKED_AT).round().astype(int))
    look = partial(_loss, model, [signals[i] for i in kept_back[looked_at]], recipe.seed)
    best = train(model, TokenSet(signals, model.config), rows, recipe, look)
    if not best.weights:
        raise TrainingError(
            f"{recipe.out}: the masked loss on {len(kept_back)} held-out samples never fell below the base's "
            f"{best.start:.4f} (lowest {min(best.losses):.4f}), so no adapter is saved; give more recordings, or lower "
            "learning_rate."
        )
    model.load_state_dict(best.weights, strict=False)
    domain = Domain(
        name=recipe.name,
        base=name_of(recipe.checkpoint),
        base_sha256=base_hash,
        before=best.start,
        after=best.loss,
        steps=best.step,
    )
    save_domain(lora, domain, recipe.out, lambda folder: write_seen(folder, recipe))
    return best


def train(
    model: WfmForMaskedModeling, data: TokenSet, rows: np.ndarray, recipe: AdaptRecipe, look: Callable[[], float]
) -> Best:
    """Train the parameters that ask for gradients on these rows until `recipe.steps`, or until `look`, the held-out
    loss, has not fallen for `recipe.patience` looks.

    Raises:
        TrainingError: the loss is not finite.
    """
    draw = Tasks(OBJECTIVE, model.config, recipe.seed, accumulate=1, rank=0, world=1)
    own = {name: value for name, value in model.named_parameters() if value.requires_grad}
    optimizer = torch.optim.AdamW(own.values(), lr=recipe.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps + 1, pct_start=0.1, cycle_momentum=False
    )
    order = endless_batches(rows, min(recipe.batch_size, len(rows)), np.random.default_rng(recipe.seed))
    best = Best(look())
    with StepProgress() as bar:
        for step in bar.track(range(1, recipe.steps + 1), description=f"adapt to {recipe.name}"):
            batch, task = to_device(draw(data.batch(next(order)), step), model.device)
            loss, _ = OBJECTIVE.loss(model.train(), cut(batch), task)
            if not bool(torch.isfinite(loss)):
                raise TrainingError(f"adaptation loss is {loss.item()} at step {step}; lower learning_rate.")
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(own.values(), 1.0)
            optimizer.step()
            schedule.step()
            if step % recipe.check_every == 0 or step == recipe.steps:
                best.look(look(), step, own)
                if best.waited() >= recipe.patience:
                    break
    return best


def split_sessions(sessions: Sequence[str], share: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows int64 of the samples to train on, and of those held out: the last `share` of every session, rounded so that
    the whole is near it. Of sessions that are short, some are held out whole."""
    names, of = np.unique(np.asarray(sessions), return_inverse=True)
    counts = np.bincount(of, minlength=len(names))
    ends = np.round(share * np.cumsum(counts)).astype(int)
    held = []
    for number, count in enumerate(np.diff(ends, prepend=0)):
        own = np.flatnonzero(of == number)
        held.append(own[len(own) - min(count, len(own)) :])
    last = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(of)), last), last


def write_seen(folder: Path, recipe: AdaptRecipe) -> None:
    """The record of the samples that an adapter saw, those held out as well: they chose its state."""
    datasets = [seen_of(recipe.data, Manifest.load(recipe.data.shards))]
    save_record(folder / PROVENANCE, Record(recipe=recipe.model_dump(mode="json"), datasets=datasets))
    save_hashes(folder / CONTENT_HASHES, hashes_of([recipe.data]))


def _loss(model: WfmForMaskedModeling, signals: Sequence[Signal], seed: int) -> float:
    return held_out(model.eval(), masked_in_every_way(signals, model.config, seed, model.device)).loss
