"""Signals from arrays: ways to store complex values, invalid entries, domains, and files that do not match."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.arrays import BASE, layout, normal, write_any

import foundation
from foundation.errors import ReadError
from foundation.readers.arrays.reader import read

FIELD = normal(2, 3, 4, seed=1)


@pytest.mark.parametrize(
    ("keys", "arrays", "axes"),
    [
        ({"real": "a", "imag": "b"}, {"a": FIELD.real, "b": FIELD.imag}, None),
        ({"amplitude": "a", "phase": "b"}, {"a": np.abs(FIELD), "b": np.angle(FIELD)}, None),
        ({"parts": "a"}, {"a": np.stack([FIELD.real, FIELD.imag], 1)}, ["sample", "part", "time", "response"]),
    ],
)
def test_ways_to_store_a_complex_field(
    tmp_path: Path, keys: dict[str, str], arrays: dict[str, np.ndarray], axes: list[str] | None
) -> None:
    path = write_any(tmp_path / "a", "npz", arrays)
    signals = read(path, layout(keys=keys, axes=axes or BASE["axes"]))
    np.testing.assert_allclose(np.stack([s.values[:, 0] for s in signals]), FIELD, atol=1e-6)
    assert not signals[0].is_real


def test_amplitude_in_decibels(tmp_path: Path) -> None:
    decibels = np.array([[[0.0, 20.0, -np.inf, 40.0]]])
    path = write_any(tmp_path / "a", "npz", {"H": decibels})
    (signal,) = read(path, layout(keys={"amplitude": "H"}, unit="decibel", scale=2.0, kind="csi-amplitude"))
    np.testing.assert_allclose(signal.values[0, 0], [2, 20, 0, 200])
    assert signal.mask[0, 0].tolist() == [True, True, False, True]
    assert signal.is_real


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_not_finite_in_either_part_is_invalid(tmp_path: Path, bad: float) -> None:
    real, imag = np.ones((2, 1, 5)), np.ones((2, 1, 5))
    real[0, 0, 1], imag[0, 0, 3] = bad, bad
    path = write_any(tmp_path / "a", "npz", {"r": real, "i": imag})
    first, second = read(path, layout(keys={"real": "r", "imag": "i"}))
    assert first.mask[0, 0].tolist() == [True, False, True, False, True]
    assert second.mask.all()


def test_samples_without_an_entry_are_left_out_with_a_warning(tmp_path: Path) -> None:
    field = normal(3, 2, 4)
    field[1] = np.nan
    path = write_any(tmp_path / "a", "npz", {"H": field, "y": np.arange(3)})
    with pytest.warns(UserWarning, match="a: H: left out 1 of 3 samples"):
        signals = read(path, layout(labels={"y": {"key": "y", "categorical": True}}))
    assert [signal.labels["y"] for signal in signals] == ["0", "2"]
    with pytest.raises(ReadError, match="no entry is a finite number"):
        read(write_any(tmp_path / "b", "npz", {"H": field[1:2]}), layout())


def test_delay_domain(tmp_path: Path) -> None:
    path = write_any(tmp_path / "a", "npz", {"H": normal(1, 1, 4)})
    (signal,) = read(path, layout(domain="delay", bandwidth_hz=1e8, kind="cir"))
    np.testing.assert_allclose(signal.delay_s, np.arange(4) * 1e-8)
    (signal,) = read(path, layout(domain="delay", step_s=2e-9, kind="cir"))
    np.testing.assert_allclose(signal.delay_s, np.arange(4) * 2e-9)


def test_iq_without_a_response_axis(tmp_path: Path) -> None:
    path = write_any(tmp_path / "a", "npz", {"H": normal(2, 9)})
    signals = read(path, layout(axes=["sample", "time"], kind="iq", spacing_hz=None, bandwidth_hz=1e6))
    assert [signal.values.shape for signal in signals] == [(9, 1, 1)] * 2
    assert signals[0].frequency_hz is not None
    assert signals[0].frequency_hz.tolist() == [0.0]


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((3, 4), {}, r"a: H: has shape \(3, 4\); expected 3 axes in \[sample, time, response\]"),
        (
            (3, 4, 5),
            {"sizes": {"response": 6}},
            r"expected response of length 6 in \[sample, time, response \(6\)\]",
        ),
        ((3, 4, 0), {}, "expected response of length n"),
        ((3, 4, 7), {"axes": ["sample", "time", "rx*response"], "sizes": {"rx": 3}}, r"of length n \* 3"),
        ((3, 4, 6), {"axes": ["sample", "time", "rx*response"]}, "sizes of all but one of rx, response"),
        ((3, 4, 5), {"axes": ["1", "time", "response"]}, "expected 1 of length 1"),
        ((3, 4, 5), {"subcarriers": [[-2, -1], [1, 2]]}, "has 5 responses; expected the 4 subcarriers"),
        ((3, 4, 5), {"interval_s": None}, "4 times but the layout has no interval_s"),
        ((3, 4, 5), {"domain": "delay", "kind": "cir"}, "no step_s or bandwidth_hz"),
        ((3, 4, 5), {"carrier_hz": {"key": "y"}}, r"carrier_hz is .* in 'y'; expected one finite number"),
        ((3, 4, 5), {"labels": {"place": {"key": "y"}}}, r"label place \('y'\) is float64 \(2,\)"),
        ((3, 4, 5), {"labels": {"place": {"key": "z"}}}, r"label place \('z'\) of sample 1 is not a finite"),
        ((3, 4, 5), {"keys": {"amplitude": "H", "phase": "y"}}, "expected one shape for all"),
        ((3, 4, 5), {"keys": {"complex": "text"}}, "text holds <U2 entries; expected numbers"),
        ((3, 4, 5), {"keys": {"complex": "objects"}}, "objects holds object entries; .*objects are never read"),
        ((3, 4, 5), {"path": r"(?P<session>\d+)/a"}, "the path does not end as"),
        ((3, 4, 5), {"carrier_hz": {"file": "{_x}.npy", "key": "array"}}, "'{_x}.npy' names a group"),
        ((3, 4, 5), {"carrier_hz": {"file": "gone.npy", "key": "array"}}, "gone.npy: there is no such file"),
    ],
)
def test_a_file_that_does_not_fit_says_so(
    tmp_path: Path, shape: tuple[int, ...], changes: dict[str, Any], message: str
) -> None:
    extra = {"y": np.ones(2), "z": np.array([1, np.nan, 2]), "text": np.array(["ab"]), "objects": np.array([{}])}
    path = write_any(tmp_path / "a", "npz", {"H": normal(*shape)} | extra)
    with pytest.raises(ReadError, match=message):
        read(path, layout(**changes))


def test_an_array_of_unknown_meaning_is_told_how_it_can_be_read(tmp_path: Path) -> None:
    for name, array in [("taps", np.zeros((5, 128), np.complex64)), ("cube", np.zeros((5, 16, 32)))]:
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(ReadError, match="read by the format 'arrays', with a layout"):
            foundation.read(tmp_path / f"{name}.npy")
