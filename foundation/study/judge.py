"""Measure a pretrained run: held-out loss, probe scores of the frozen encoder, size and cost."""

from __future__ import annotations

import platform

import numpy as np
import torch

from foundation import __version__
from foundation.adapt import training_features
from foundation.adapt.select_pooling import requested_poolings
from foundation.checkpoints.layout import FINAL, FOLDER
from foundation.checkpoints.load import load_masked
from foundation.data.labelled import TokenSet
from foundation.data.shards.corpus import Corpus
from foundation.machine import on_device
from foundation.models import WfmForMaskedModeling, WfmModel
from foundation.models.config import model_config
from foundation.models.untrained import untrained
from foundation.signal import Signal
from foundation.study.cache import Measured, Score
from foundation.study.facts import facts_of
from foundation.study.heldout import held_out_losses, refuse_seen
from foundation.study.plan import Run, Study, Task, title
from foundation.study.probes import Labelled, probe_scores


class Judge:
    """Measures the runs of a study; held-out signals and labelled tasks are read once.

    Raises:
        ShardError, RecipeError: a task or the held-out part cannot be read, see `Labelled.load`, or a run trains on
            what is held out.
    """

    def __init__(self, study: Study) -> None:
        held_out = study.recipe.held_out
        if held_out is not None:
            refuse_seen(held_out, study.runs)
        self.fractions = study.recipe.fractions
        self.signals: list[Signal] = [] if held_out is None else list(Corpus(held_out))
        self.tasks = [(task, Labelled.load(task)) for task in study.tasks]

    def measure(self, run: Run) -> Measured:
        """Measure a run whose pretraining is finished, or the initial weights of its seed if it is not trained, on the
        device that it is trained on.

        Raises:
            CheckpointError: the checkpoint is damaged.
            RecipeError: this machine has no such device.
        """
        if run.trained:
            model = load_masked(run.folder / FOLDER / FINAL)
        else:
            model = untrained(WfmForMaskedModeling, model_config(run.pretrain), run.seed)
        on_device(model, run.pretrain.train.accelerator)
        return Measured(
            losses=held_out_losses(model, self.signals) if self.signals else {},
            held_out=len(self.signals),
            scores=[score for each in self.tasks for score in self._scores(*each, model.encoder, run.seed)],
            facts=facts_of(run.pretrain, model, run.trained),
            versions={
                "foundation": __version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        )

    def _scores(self, task: Task, labelled: Labelled, encoder: WfmModel, seed: int) -> list[Score]:
        tune, data = task.recipe.tune, TokenSet(labelled.signals, encoder.config)
        shapes = (signal.values.shape for signal in labelled.signals)
        poolings = requested_poolings(tune.pooling, shapes, encoder.config)
        features = training_features(encoder, data, poolings, None, tune.augment)
        set_, split = title(task)
        return [
            Score(set=set_, split=split, fraction=fraction, metric=metric, value=value, n=len(labelled.signals))
            for fraction in self.fractions
            for metric, value in probe_scores(features, labelled, fraction, seed).items()
        ]
