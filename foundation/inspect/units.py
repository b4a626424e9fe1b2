"""Scale seconds and hertz to a readable unit."""

from __future__ import annotations

PREFIXES = {"s": ((1, ""), (1e3, "m"), (1e6, "µ"), (1e9, "n")), "Hz": ((1e-9, "G"), (1e-6, "M"), (1e-3, "k"), (1, ""))}


def scaled_unit(value: float, unit: str) -> tuple[float, str]:
    """Factor and name of the largest unit in which the value is at least 1, else of the smallest unit.

    Args:
        value: in `unit`.
        unit: "s" or "Hz".
    """
    fitting = [(factor, prefix + unit) for factor, prefix in PREFIXES[unit] if abs(value) * factor > 0.999]
    smallest, prefix = PREFIXES[unit][-1]
    return fitting[0] if fitting else (smallest, prefix + unit)


def in_words(value: float, unit: str) -> str:
    """A value with its unit and three digits, such as "1.25 ms"."""
    factor, name = scaled_unit(value, unit)
    return f"{value * factor:.3g} {name}"
