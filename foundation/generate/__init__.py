"""Use of the decoder: impute hidden parts of signals, or generate new signals from noise; and imputation baselines."""

from foundation.generate.baselines.hold import hold, mean_over_time
from foundation.generate.baselines.interpolate import interpolate
from foundation.generate.baselines.low_rank import low_rank
from foundation.generate.imputation import Imputed, impute
from foundation.generate.sample import sample_like
from foundation.nn.masks import MASK_KINDS

__all__ = ["MASK_KINDS", "Imputed", "hold", "impute", "interpolate", "low_rank", "mean_over_time", "sample_like"]
