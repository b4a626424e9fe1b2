"""Simulator of indoor radio channels with moving people and known ground truth. Depends on NumPy and `transforms`.

`tr38901`, channels of base stations, is another matter: it asks Sionna, an optional extra.
"""

from foundation.simulate.config import SimulationConfig
from foundation.simulate.generate import simulate, simulated_splits

__all__ = ["SimulationConfig", "simulate", "simulated_splits"]
