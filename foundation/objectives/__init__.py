"""Training objectives: pure functions of (model, batch, random generator)."""

from foundation.objectives.masked import MaskedObjective

__all__ = ["MaskedObjective"]
