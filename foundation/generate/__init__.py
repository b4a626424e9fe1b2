"""What the decoder is asked for: fill in what is missing, or make new signals from noise."""

from foundation.generate.fill import Filled, fill
from foundation.generate.interpolate import interpolate
from foundation.generate.sample import sample_like

__all__ = ["Filled", "fill", "interpolate", "sample_like"]
