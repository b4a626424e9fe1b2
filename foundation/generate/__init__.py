"""What the decoder is asked for: fill in what is missing, or make new signals from noise."""

from foundation.generate.fill import Filled, fill
from foundation.generate.hold import hold, mean_over_time
from foundation.generate.interpolate import interpolate
from foundation.generate.low_rank import low_rank
from foundation.generate.sample import sample_like
from foundation.nn.masks import MASK_KINDS

__all__ = ["MASK_KINDS", "Filled", "fill", "hold", "interpolate", "low_rank", "mean_over_time", "sample_like"]
