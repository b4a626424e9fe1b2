"""Simulator of indoor radio channels with moving people and known ground truth. Depends on NumPy and `transforms`."""

from foundation.simulate.config import SimulationConfig
from foundation.simulate.generate import simulate, simulated_splits

__all__ = ["SimulationConfig", "simulate", "simulated_splits"]
