"""Transmitters that were not heard have a level below all that were."""

from __future__ import annotations

import numpy as np

from foundation.signal import Link, Signal
from foundation.transforms.unheard import some_unheard, unheard_level, with_unheard


def scan(*dbm: float | None, times: int = 1, **changes: object) -> Signal:
    """One scan of as many access points; None: not heard."""
    values = np.array([0.0 if value is None else value for value in dbm])[None, :, None].repeat(times, 0)
    fields: dict = {
        "values": values.astype(np.complex64),
        "valid": np.array([value is not None for value in dbm])[None, :, None].repeat(times, 0),
        "time_s": np.arange(times) / 3,
        "links": tuple(Link(index, 0) for index in range(len(dbm))),
        "frequency_hz": np.zeros(1),
        "kind": "rssi",
        "carrier_hz": 0.0,
        "is_real": True,
        "session": "walk",
    }
    return Signal(**(fields | changes))


def test_the_level_is_one_decibel_below_the_weakest_of_training() -> None:
    training = [scan(-40, None, -70), scan(-93, -50, None)]
    assert unheard_level(training) == -94
    filled = with_unheard(scan(None, -99, -50), -94)
    np.testing.assert_array_equal(filled.values.real.ravel(), [-94, -99, -50])
    assert filled.mask.all()
    assert some_unheard(training)
    assert not some_unheard([filled])


def test_gaps_of_what_was_heard_stay() -> None:
    signal = scan(-40, None, times=2)
    valid = signal.mask.copy()
    valid[1, 0] = False
    filled = with_unheard(signal.with_(valid=valid), -90)
    np.testing.assert_array_equal(filled.mask.ravel(), [True, True, False, True])


def test_other_kinds_are_left_alone() -> None:
    signal = scan(-40, None, kind="csi-amplitude")
    assert unheard_level([signal]) is None
    assert with_unheard(signal, -90) is signal
