"""LoRA per task: fit, save, load. PEFT lives here alone."""

from foundation.adapt.adapter_files import Adapter, load_adapter, save_adapter
from foundation.adapt.fit import fit, predict
from foundation.adapt.probe import held_out_folds, pooled_features, probe_error, training_features
from foundation.adapt.stacking import Weights, combined, fit_head, fit_stack, weigh
from foundation.adapt.supervised import fit_supervised

__all__ = [
    "Adapter",
    "Weights",
    "combined",
    "fit",
    "fit_head",
    "fit_stack",
    "fit_supervised",
    "held_out_folds",
    "load_adapter",
    "pooled_features",
    "predict",
    "probe_error",
    "save_adapter",
    "training_features",
    "weigh",
]
