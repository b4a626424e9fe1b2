"""Adaptation to labels: LoRA and full fine-tuning, probes on frozen features, adapter files. Only user of PEFT."""

from foundation.adapt.adapter_files import Adapter, load_adapter, save_adapter
from foundation.adapt.calibrated_fit import fit_calibrated
from foundation.adapt.calibration import Calibration
from foundation.adapt.domain import add_domain, merge_domain
from foundation.adapt.fit import fit, predict
from foundation.adapt.folds import held_out_folds
from foundation.adapt.probe import pooled_features, probe_error, training_features
from foundation.adapt.stacking import Stack, Weights, fit_head, fit_stack, fit_weighted, stacking_weights
from foundation.adapt.supervised import fit_supervised

__all__ = [
    "Adapter",
    "Calibration",
    "Stack",
    "Weights",
    "add_domain",
    "fit",
    "fit_calibrated",
    "fit_head",
    "fit_stack",
    "fit_supervised",
    "fit_weighted",
    "held_out_folds",
    "load_adapter",
    "merge_domain",
    "pooled_features",
    "predict",
    "probe_error",
    "save_adapter",
    "stacking_weights",
    "training_features",
]
