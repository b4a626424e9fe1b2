"""LoRA per task: fit, save, load. PEFT lives here alone."""

from foundation.adapt.baseline import fit_baseline
from foundation.adapt.fit import fit, predict
from foundation.adapt.probe import (
    fit_head,
    held_out_folds,
    pick_stiffness,
    pooled_features,
    probe_error,
    training_features,
)
from foundation.adapt.store import Adapter, load_adapter, save_adapter

__all__ = [
    "Adapter",
    "fit",
    "fit_baseline",
    "fit_head",
    "held_out_folds",
    "load_adapter",
    "pick_stiffness",
    "pooled_features",
    "predict",
    "probe_error",
    "save_adapter",
    "training_features",
]
