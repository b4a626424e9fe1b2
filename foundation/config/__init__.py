"""Strict recipes, one kind for each command: their keys, units, defaults and bounds, and how they are read.

The sections here are the only place where a default is defined.
"""

from foundation.config.adaptation import AdaptRecipe
from foundation.config.corpus import CorpusSection, SamplesSection
from foundation.config.evaluation import (
    AS_RECORDED,
    AT,
    AT_HALF_RATE,
    LABELS_ALONE,
    OF_ANY_SHAPE,
    SHAPES,
    BaselineSection,
    Configuration,
    EvaluateMode,
    EvaluateRecipe,
)
from foundation.config.pretraining import (
    DataSection,
    ModelSection,
    ObjectiveSection,
    PretrainRecipe,
    TrainSection,
)
from foundation.config.section import Section, dump_recipe, load_recipe
from foundation.config.tasks import FinetuneRecipe, TaskSection, TuneSection

__all__ = [
    "AS_RECORDED",
    "AT",
    "AT_HALF_RATE",
    "LABELS_ALONE",
    "OF_ANY_SHAPE",
    "SHAPES",
    "AdaptRecipe",
    "BaselineSection",
    "Configuration",
    "CorpusSection",
    "DataSection",
    "EvaluateMode",
    "EvaluateRecipe",
    "FinetuneRecipe",
    "ModelSection",
    "ObjectiveSection",
    "PretrainRecipe",
    "SamplesSection",
    "Section",
    "TaskSection",
    "TrainSection",
    "TuneSection",
    "dump_recipe",
    "load_recipe",
]
