"""What a sample claims to be and cannot be: amplitudes that are declared as complex channel state information."""

from __future__ import annotations

from foundation.errors import ShardError
from foundation.signal import Signal

_FEWEST = 16  # measured entries from which on equal phases are no accident


def check_plausible(signal: Signal, where: str) -> None:
    """Refuse amplitudes of kind "csi": a phase of 0 everywhere is no measurement, and models would learn it as one.

    Raises:
        ShardError: they are; says what to declare.
    """
    if signal.kind != "csi":
        return
    measured = signal.values[signal.mask]
    without_phase = len(measured) >= _FEWEST and not measured.imag.any() and (measured.real >= 0).all()
    if signal.is_real or without_phase:
        raise ShardError(
            f"{where}: is of kind 'csi', which is complex, but its phase is 0 everywhere; where amplitudes alone were "
            "recorded, declare kind='csi-amplitude' and is_real=True."
        )
