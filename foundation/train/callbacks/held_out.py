"""Callback that logs the loss on held-out samples during pretraining."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch

from foundation.config import CorpusSection, PretrainRecipe
from foundation.data.shards.corpus import Corpus
from foundation.data.tokens import tokenize
from foundation.models import WfmConfig
from foundation.models.structure import Structure, to_device
from foundation.nn.masks import MASK_KINDS
from foundation.objectives import MaskedObjective
from foundation.objectives.held_out import HeldOut, held_out
from foundation.objectives.masked import Task
from foundation.signal import Signal
from foundation.train.callbacks.base import Stepwise
from foundation.train.module import PretrainModule
from foundation.train.tasks import draws_of

COUNT, BATCH = 256, 32  # samples, evenly spaced; samples of a batch


class HeldOutLoss(Stepwise):
    """Every `every` steps logs `held_out`, the masked loss on the same samples under the same masks.

    Every sample is masked in every way once; the masks are a function of the recipe's seed. `held_out/KIND` is the loss
    on one kind of signal; `held_out_zero` and `held_out_mean` are what predicting 0, and the best constant, would have:
    a model whose loss is theirs has learnt nothing. Rank 0 works alone, and the random state of training is not
    touched.
    """

    def __init__(self, recipe: PretrainRecipe, section: CorpusSection) -> None:
        self.recipe, self.section, self.every = recipe, section, recipe.train.held_out_every
        self._kinds: dict[str, list[Signal]] | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._is_sharded and trainer.is_global_zero:
            strategy = self.recipe.train.strategy
            print(f"data.held_out is not looked at: under {strategy} no process holds the whole network.", flush=True)

    def after_step(self, trainer: L.Trainer, module: PretrainModule) -> None:
        if trainer.global_step % self.every or self._is_sharded or not trainer.is_global_zero:
            return
        if self._kinds is None:
            self._kinds = samples_by_kind(self.section)
        module.model.eval()
        try:
            found = {kind: self._loss(module, own) for kind, own in self._kinds.items()}
        finally:
            module.model.train()
        metrics = {f"held_out/{kind}": each.loss for kind, each in found.items()}
        metrics |= mean_of(found, {kind: len(own) for kind, own in self._kinds.items()})
        for logger in trainer.loggers:  # at this step alone: what a module logs is repeated until it logs anew
            logger.log_metrics(metrics, trainer.global_step - 1)

    def _loss(self, module: PretrainModule, signals: list[Signal]) -> HeldOut:
        model = module.model
        return held_out(model, masked_in_every_way(signals, model.config, self.recipe.seed, module.device))

    @property
    def _is_sharded(self) -> bool:
        return self.recipe.train.is_partitioned


def masked_in_every_way(
    signals: Sequence[Signal], spec: WfmConfig, seed: int, device: torch.device
) -> Iterator[tuple[dict[str, Any], Task]]:
    """Batches of signals with their tasks, on a device: each batch once under every kind of mask, the same for a
    seed."""
    for number, start in enumerate(range(0, len(signals), BATCH)):
        batch: dict[str, Any] = dict(tokenize(signals[start : start + BATCH], spec))
        batch["structure"] = Structure.of(batch)
        for place, kind in enumerate(MASK_KINDS):
            objective = MaskedObjective(masks={kind: 1.0}, generation_share=0.0, denoising_weight=0.0)
            yield to_device((batch, objective.draw(batch, spec, draws_of(seed, number, place))), device)


def samples_by_kind(section: CorpusSection) -> dict[str, list[Signal]]:
    """Evenly spaced samples of a corpus, by kind of signal.

    Raises:
        ShardError: shards are missing, or a sample cannot be read.
    """
    corpus, found = Corpus(section), defaultdict(list)
    ends = np.cumsum(corpus.counts)
    for index in np.unique(np.linspace(0, ends[-1] - 1, COUNT).round().astype(int)):
        shard = int(np.searchsorted(ends, index, side="right"))
        signal = corpus.read(shard, int(index - (ends[shard - 1] if shard else 0)))
        found[signal.kind].append(signal)
    return dict(sorted(found.items()))


def mean_of(found: dict[str, HeldOut], weights: dict[str, int]) -> dict[str, float]:
    """The means over kinds, weighted by their samples, under the names that are logged."""
    total = sum(weights.values())
    names = {"held_out": "loss", "held_out_zero": "zero", "held_out_mean": "mean"}
    return {
        name: sum(weights[kind] * getattr(each, key) for kind, each in found.items()) / total
        for name, key in names.items()
    }
