"""Training objectives as pure functions of (model, batch, generator)."""

from foundation.objectives.masked import MaskedObjective

__all__ = ["MaskedObjective"]
