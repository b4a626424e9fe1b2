"""LoRA per task: fit, save, load. PEFT lives here alone."""

from foundation.adapt.baseline import fit_baseline
from foundation.adapt.fit import fit, predict
from foundation.adapt.probe import held_out_folds, pick_stiffness, pooled_features, probe_error, training_features
from foundation.adapt.stack import fit_head, fit_stack
from foundation.adapt.store import Adapter, load_adapter, save_adapter

__all__ = [
    "Adapter",
    "fit",
    "fit_baseline",
    "fit_head",
    "fit_stack",
    "held_out_folds",
    "load_adapter",
    "pick_stiffness",
    "pooled_features",
    "predict",
    "probe_error",
    "save_adapter",
    "training_features",
]
