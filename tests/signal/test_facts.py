"""Facts: what is read of a simulated signal, and that labels of recordings are not."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from foundation.signal import Label, Link, Signal
from foundation.signal.facts import FACTS, NUMBERS, PARTS, facts_of
from foundation.simulate.config import ALL_ACTIVITIES
from foundation.simulate.corpus.modulation import MODULATIONS


def signal(labels: dict[str, Label], source: str = "foundation.simulate.corpus") -> Signal:
    return Signal(
        np.ones((2, 1, 1), np.complex64),
        time_s=np.arange(2.0),
        frequency_hz=np.zeros(1),
        links=(Link(0, 0),),
        kind="csi",
        carrier_hz=5e9,
        labels=labels,
        source=source,
    )


def test_classes_are_the_simulators() -> None:
    known = {fact.name: fact.classes for fact in FACTS}
    assert known["activity"] == ALL_ACTIVITIES and known["modulation"] == MODULATIONS


def test_facts_are_of_order_one_and_nan_where_not_known() -> None:
    found = facts_of(signal({"activity": "walk", "people": 1, "snr": 20.0, "torso_speed": (1.0,) * PARTS}))
    assert found.shape == (NUMBERS,) and found.dtype == np.float32
    known = found[np.isfinite(found)]
    np.testing.assert_allclose(known, [2, 1, 2.0, *[log(1.1)] * PARTS], rtol=1e-6)


@pytest.mark.parametrize("source", ["https://example.org/recordings", "foundation.simulate"])
def test_labels_that_tasks_are_judged_on_are_not_read(source: str) -> None:
    assert np.isnan(facts_of(signal({"activity": "walk", "people": 1}, source=source))).all()


@pytest.mark.parametrize("value", ["fly", (1.0, 2.0), float("nan")])
def test_a_label_that_is_no_fact_is_not_known(value: Label) -> None:
    assert np.isnan(facts_of(signal({"activity": value, "torso_speed": value, "snr": value}))).all()
