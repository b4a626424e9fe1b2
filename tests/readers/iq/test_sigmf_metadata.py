"""Metadata that is not to the letter of SigMF: what sigmf-python 1.14 reads is read, with a warning."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.sigmf import SAMPLES, meta_of, written

from foundation.readers.iq import sigmf
from foundation.signal import Signal


def column(signal: Signal) -> list[complex]:
    return signal.values[:, 0, 0].tolist()


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (meta_of(datatype="cf32"), "'cf32' has no byte order; read as little-endian"),
        (meta_of(datatype="CF32_LE"), ""),
        (
            meta_of(sample_rate="1000000"),
            "core:sample_rate is '1000000' where SigMF has a number of hertz; read as 1000000",
        ),
        (meta_of(num_channels=1.0), "num_channels is 1.0 where SigMF has an integer; read as 1"),
        (meta_of([{"frequency": 1e6}]), "capture 0: has no core:sample_start; it is taken as the start of the file"),
        (meta_of([{"sample_start": 0.0}]), "sample_start is 0.0 where SigMF has an integer"),
        (meta_of([{"sample_start": 0, "frequency": -1.0}]), "core:frequency is -1.0 .*; taken as unknown"),
        (meta_of([{"sample_start": 0, "frequency": None}]), ""),
        (meta_of(trailing_bytes=4) | {"annotations": None}, "the last sample is incomplete, 4 of 8 bytes"),
        (meta_of(annotations=[{"sample_start": 2**62, "label": "x"}]), "annotation 0: begins at sample 461168"),
        (meta_of(annotations=[{"sample_start": -1, "label": "x"}]), "annotation 0: is left out, starting at -1"),
        (meta_of(annotations=[{"label": "x"}]), "annotation 0: is left out, starting at None"),
        (meta_of(annotations=[{"sample_start": 1, "sample_count": "x", "label": "x"}]), "with 'x' samples"),
    ],
)
def test_what_is_not_to_the_letter_is_read_with_a_warning(tmp_path: Path, meta: dict, message: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (signal,) = sigmf.read(written(tmp_path, meta))
    assert column(signal) == SAMPLES[: len(signal.time_s)].tolist()
    assert len(signal.time_s) == 11 + (meta["annotations"] is not None)
    assert (signal.interval_s, dict(signal.labels)) == (pytest.approx(1e-6), {})
    assert len(caught) == bool(message)
    assert re.search(message, str(caught[0].message) if caught else "")


@pytest.mark.parametrize("start", [9, 9.0, "9", 8.6])
def test_annotations_beyond_the_end_are_cut(tmp_path: Path, start: object) -> None:
    annotations = [{"sample_start": start, "sample_count": 400.0, "label": "x"}]
    with pytest.warns(UserWarning, match=r"annotation 0: (begins at sample 9 and exceeds the 12|.* is rounded)"):
        first, second = sigmf.read(written(tmp_path, meta_of(annotations=annotations)))
    assert (len(first.time_s), len(second.time_s), second.labels) == (9, 3, {"label": "x"})


def test_captures_in_any_order_and_beyond_the_end(tmp_path: Path) -> None:
    captures = [{"sample_start": start, "frequency": 1e6 + start} for start in (6, 0, 6, 20)]
    captures[2]["frequency"] = 2e6
    with pytest.warns(UserWarning) as caught:
        signals = sigmf.read(written(tmp_path, meta_of(captures)))
    assert [(len(signal.time_s), signal.carrier_hz) for signal in signals] == [(6, 1e6), (6, 2e6)]
    assert "capture 1: does not start after the capture before; captures are sorted" in str(caught[0].message)
    assert "the last 1 of 3 captures are left out" in str(caught[-1].message)


def test_a_capture_of_which_only_the_header_is_there(tmp_path: Path) -> None:
    captures = [{"sample_start": 0}, {"sample_start": 12, "header_bytes": 16}]
    with pytest.warns(UserWarning, match="the last 1 of 2 captures are left out"):
        (signal,) = sigmf.read(written(tmp_path, meta_of(captures), SAMPLES.tobytes() + bytes(16)))
    assert column(signal) == SAMPLES.tolist()


@pytest.mark.parametrize("name", ["no_byte_order", "rate_text"])
def test_cases(cases_root: Path, name: str) -> None:
    with pytest.warns(UserWarning, match="byte order|core:sample_rate"):
        (signal,) = sigmf.read(cases_root / f"sigmf-stricter-than-the-library/{name}.sigmf-meta")
    assert (len(signal.time_s), signal.bandwidth_hz, signal.carrier_hz) == (64, 1e6, 433e6)
    wanted = np.fromfile(cases_root / f"sigmf-stricter-than-the-library/{name}.sigmf-data", "<c8")
    np.testing.assert_array_equal(signal.values[:, 0, 0], wanted)
