"""Indoor Wi-Fi channels with moving people, simulated with their truth. Depends on numpy alone."""

from foundation.simulate.config import SimulationConfig
from foundation.simulate.generate import simulate, simulated_splits

__all__ = ["SimulationConfig", "simulate", "simulated_splits"]
