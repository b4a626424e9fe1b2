"""Seconds and hertz in the unit in which they have few digits."""

from __future__ import annotations

PREFIXES = {"s": ((1, ""), (1e3, "m"), (1e6, "µ"), (1e9, "n")), "Hz": ((1e-9, "G"), (1e-6, "M"), (1e-3, "k"), (1, ""))}


def scaled_unit(value: float, unit: str) -> tuple[float, str]:
    """Factor and name of the largest unit in which the value is at least 1, else of the smallest.

    Args:
        unit: of the value, "s" or "Hz".
    """
    fitting = [(factor, prefix + unit) for factor, prefix in PREFIXES[unit] if abs(value) * factor > 0.999]
    smallest, prefix = PREFIXES[unit][-1]
    return fitting[0] if fitting else (smallest, prefix + unit)


def in_words(value: float, unit: str) -> str:
    """Such as "1.25 ms", three digits."""
    factor, name = scaled_unit(value, unit)
    return f"{value * factor:.3g} {name}"
