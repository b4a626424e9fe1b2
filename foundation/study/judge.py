"""Measure a pretrained run: held-out loss, probe scores of the frozen encoder, size and cost."""

from __future__ import annotations

import platform

import numpy as np
import torch

from foundation import __version__
from foundation.adapt import training_features
from foundation.adapt.select_pooling import readable_poolings, requested_poolings
from foundation.checkpoints.layout import FINAL, FOLDER
from foundation.checkpoints.load import load_masked
from foundation.config.study import STATISTICS
from foundation.data.labelled import TokenSet
from foundation.data.shards.corpus import Corpus
from foundation.machine import on_device
from foundation.models import ClosedForm, WfmForMaskedModeling, WfmModel
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
        self.study, self.fractions = study, study.recipe.fractions
        self.signals: list[Signal] = [] if held_out is None else list(Corpus(held_out))
        self.tasks = [(task, Labelled.load(task)) for task in study.tasks]

    def measure(self, run: Run) -> Measured:
        """Measure a run whose pretraining is finished, or a control, on the device that it is trained on.

        Raises:
            CheckpointError: the checkpoint is damaged.
            RecipeError: this machine has no such device.
        """
        model = None
        encoder: WfmModel | ClosedForm = ClosedForm(model_config(run.pretrain))
        if run.control != STATISTICS:
            model = self._model(run)
            encoder = model.encoder
        on_device(encoder if model is None else model, run.pretrain.train.accelerator)
        judged = [each for each in self.tasks if each[0] in self.study.judged_by(run)]
        return Measured(
            losses=held_out_losses(model, self.signals) if self.signals and model is not None else {},
            held_out=len(self.signals),
            scores=[score for each in judged for score in self._scores(*each, encoder, run.seed)],
            facts={} if model is None else facts_of(run.pretrain, model, run.trained),
            versions={
                "foundation": __version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        )

    @staticmethod
    def _model(run: Run) -> WfmForMaskedModeling:
        if run.trained:
            return load_masked(run.folder / FOLDER / FINAL)
        return untrained(WfmForMaskedModeling, model_config(run.pretrain), run.seed)

    def _scores(self, task: Task, labelled: Labelled, encoder: WfmModel | ClosedForm, seed: int) -> list[Score]:
        tune, data = task.recipe.tune, TokenSet(labelled.signals, encoder.config)
        shapes = (signal.values.shape for signal in labelled.signals)
        poolings = readable_poolings(requested_poolings(tune.pooling, shapes, encoder.config), encoder)
        features = training_features(encoder, data, poolings, None, tune.augment)
        set_, split = title(task)
        return [
            Score(set=set_, split=split, fraction=fraction, metric=metric, value=value, n=len(labelled.signals))
            for fraction in self.fractions
            for metric, value in probe_scores(features, labelled, fraction, seed).items()
        ]
