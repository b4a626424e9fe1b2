"""LoRA per task: fit, save, load. PEFT lives here alone."""

from foundation.adapt.baseline import fit_baseline
from foundation.adapt.fit import fit, predict
from foundation.adapt.probe import frozen_features
from foundation.adapt.store import Adapter, load_adapter, save_adapter

__all__ = ["Adapter", "fit", "fit_baseline", "frozen_features", "load_adapter", "predict", "save_adapter"]
