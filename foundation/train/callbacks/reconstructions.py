"""Callback that draws reconstructions of a few training samples during pretraining."""

from __future__ import annotations

import lightning as L
import torch

from foundation.config import PretrainRecipe
from foundation.data.shards.corpus import Corpus
from foundation.errors import WfmError
from foundation.files import write_atomically
from foundation.signal import Signal
from foundation.train.callbacks.base import Stepwise
from foundation.train.loggers import log_picture
from foundation.train.module import PretrainModule

FOLDER = "pictures"
NAME = "reconstruction"  # in a tracker
MIN_SAMPLES, MAX_SAMPLES = 3, 6  # per picture: one of each corpus of the mixture, within these limits
MASK_RATIO = 0.75  # random mask


class Reconstructions(Stepwise):
    """Every `every` steps draws truth, visible tokens and reconstruction of the same samples under the same masks.

    Pictures are written to RUN/pictures/step=N.png and logged to the tracker. Rank 0 works alone: no collective is
    called, the random state of training is not touched, and the samples are not taken from the stream.
    """

    def __init__(self, recipe: PretrainRecipe, every: int) -> None:
        self.recipe = recipe
        self.every = every
        self._signals: list[Signal] | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._is_sharded and trainer.is_global_zero and trainer.max_steps >= self.every:
            strategy = self.recipe.train.strategy
            print(f"no pictures are drawn: under {strategy} no process holds the whole network.", flush=True)

    def after_step(self, trainer: L.Trainer, module: PretrainModule) -> None:
        step = trainer.global_step
        if step % self.every or self._is_sharded or not trainer.is_global_zero:
            return
        try:
            png = self._draw(module, step)
        except WfmError as error:  # a damaged sample, which the stream may skip, must not end the run
            print(f"no picture at step {step}: {error}", flush=True)
            return
        path = self.recipe.out / FOLDER / f"step={step}.png"
        write_atomically(path, png)
        log_picture(trainer.loggers, NAME, path, step)

    @property
    def _is_sharded(self) -> bool:
        return self.recipe.train.is_partitioned

    def _draw(self, module: PretrainModule, step: int) -> bytes:
        from foundation.generate.figure import reconstruction_picture
        from foundation.generate.imputation import impute
        from foundation.results.reconstruction_figure import reconstructions

        if self._signals is None:
            self._signals = samples(self.recipe)
        generator = torch.Generator().manual_seed(self.recipe.seed)
        module.model.eval()
        try:
            ratio = (MASK_RATIO, MASK_RATIO)
            imputed = [impute(module.model, [signal], "random", generator, ratio)[0] for signal in self._signals]
        finally:
            module.model.train()
        return reconstructions(
            [reconstruction_picture(one) for one in imputed], f"{self.recipe.name}: training samples at step {step:,}"
        )


def samples(recipe: PretrainRecipe) -> list[Signal]:
    """Samples of the recipe's corpora in turn, at evenly spaced indices, so that sessions and labels differ.

    Raises:
        ShardError: a sample cannot be read.
    """
    corpora = [Corpus(one) for one in recipe.data.sources[:MAX_SAMPLES]]
    count = max(MIN_SAMPLES, len(corpora))
    found = []
    for number in range(count):
        corpus = corpora[number % len(corpora)]
        index = (2 * number + 1) * sum(corpus.counts) // (2 * count)
        shard = 0
        while index >= corpus.counts[shard]:
            index -= corpus.counts[shard]
            shard += 1
        found.append(corpus.read(shard, index))
    return found
