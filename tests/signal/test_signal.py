"""Signal: validation and its error messages, the byte format, and transforms between delay and frequency."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from helpers.signals import make_signal
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import ShardError, SignalError
from foundation.signal import Link, Signal, decode, encode, to_delay, to_frequency


def _values(*at: int, value: complex) -> np.ndarray:
    values = make_signal().values.copy()
    values[at] = value
    return values


def _axis(name: str, at: int, value: float) -> np.ndarray:
    axis = np.array(getattr(make_signal(), name))
    axis[at] = value
    return axis


BAD: list[tuple[dict[str, object], str]] = [
    ({"values": np.zeros((3, 4))}, r"Signal\.values has shape \(3, 4\)"),
    ({"values": np.zeros((0, 2, 16))}, r"Signal\.values has shape \(0, 2, 16\)"),
    ({"values": _values(3, 1, 2, value=np.nan)}, r"Signal\.values is not finite at .* = \[3, 1, 2\]"),
    ({"values": _values(3, 1, 2, value=complex(0, np.inf))}, r"Signal\.values is not finite at .* = \[3, 1, 2\]"),
    ({"time_s": np.arange(31)}, r"Signal\.time_s has shape \(31,\) but values needs \(32,\)"),
    ({"time_s": _axis("time_s", 7, 0.0)}, r"Signal\.time_s does not increase at index 7"),
    ({"time_s": _axis("time_s", 7, np.nan)}, r"Signal\.time_s has a non-finite entry at index 7"),
    ({"frequency_hz": _axis("frequency_hz", 5, -9e9)}, r"Signal\.frequency_hz does not increase at index 5"),
    ({"frequency_hz": np.arange(3)}, r"Signal\.frequency_hz has shape"),
    ({"frequency_hz": None, "delay_s": np.zeros(16)}, r"Signal\.delay_s does not increase at index 1"),
    ({"frequency_hz": None}, "exactly one response axis: frequency_hz or delay_s"),
    ({"delay_s": np.arange(16)}, "exactly one response axis: frequency_hz or delay_s"),
    ({"links": (Link(),)}, r"Signal\.links has 1 entries but values has 2"),
    ({"kind": "sonar"}, r"Signal\.kind is 'sonar'; expected one of csi"),
    ({"carrier_hz": -1.0}, r"Signal\.carrier_hz is -1\.0"),
    ({"carrier_hz": np.nan}, r"Signal\.carrier_hz is nan"),
    ({"bandwidth_hz": np.inf}, r"Signal\.bandwidth_hz is inf"),
    ({"valid": np.ones(5, bool)}, r"Signal\.valid has shape \(5,\)"),
    ({"valid": np.zeros(16, bool)}, r"Signal\.valid is False everywhere"),
    ({"is_real": True}, r"Signal\.is_real .* at .* = \[0, 0, 0\]"),
    ({"clean": np.zeros((1, 2, 3))}, r"Signal\.clean has shape \(1, 2, 3\)"),
    ({"clean": _values(0, 1, 9, value=np.nan)}, r"Signal\.clean is not finite at .* = \[0, 1, 9\]"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_every_contradiction_names_its_field_and_place(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SignalError, match=message):
        make_signal().with_(**changes)


def test_a_nan_may_stand_where_nothing_was_measured_and_becomes_zero() -> None:
    valid = np.ones((32, 2, 16), bool)
    valid[3, 1, 2] = False
    signal = make_signal(values=_values(3, 1, 2, value=np.nan), valid=valid)
    assert signal.values[3, 1, 2] == 0
    assert np.isfinite(signal.values).all()
    assert (~signal.mask).sum() == 1


def test_valid_broadcasts_over_links_and_times() -> None:
    null = np.arange(16) != 8
    signal = make_signal(valid=null)
    assert signal.mask.shape == signal.values.shape
    assert (signal.values[:, :, 8] == 0).all()
    assert (signal.values[:, :, 7] != 0).all()


def test_a_window_counts_time_from_its_own_start_and_stays_inside() -> None:
    signal = make_signal(clean=make_signal(7).values)
    window = signal.window(10, 5)
    assert window.time_s[0] == 0
    np.testing.assert_allclose(window.time_s, np.arange(5) / 100, atol=1e-12)
    np.testing.assert_array_equal(window.values, signal.values[10:15])
    assert signal.clean is not None
    np.testing.assert_array_equal(window.clean, signal.clean[10:15])  # type: ignore[arg-type]
    for start, length in ((-1, 5), (30, 5), (0, 0)):
        with pytest.raises(SignalError, match=rf"window \[{start}, {start + length}\)"):
            signal.window(start, length)


def _same(a: Signal, b: Signal) -> None:
    for name in ("values", "valid", "clean", "time_s", "frequency_hz", "delay_s"):
        one, two = getattr(a, name), getattr(b, name)
        assert (one is None) == (two is None), name
        if one is not None:
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two, err_msg=name)
    for name in ("links", "kind", "carrier_hz", "bandwidth_hz", "is_real", "device", "subject", "session", "licence"):
        assert getattr(a, name) == getattr(b, name), name
    assert dict(a.labels) == dict(b.labels)


CASES = {
    "plain": {},
    "lost": {"valid": np.arange(16) % 5 != 0},
    "clean": {"clean": make_signal(8).values},
    "real": {"values": make_signal().values.real, "is_real": True, "clean": make_signal(8).values.real},
    "irregular": {"time_s": np.cumsum(np.random.default_rng(0).random(32) + 0.01)},
    "delay": {"frequency_hz": None, "delay_s": 3e-9 + np.arange(16) * 1.0016e-9, "kind": "cir"},
    "text": {"device": 'Größe "x"', "subject": "p1", "licence": "CC0", "labels": {"place": (1.0, -2.5), "n": 3}},
    "geometry": {"links": (Link(0, 1, (0.0, 1.0, 2.0), None), Link(3, 2, None, (0.1, 0.2, 0.3)))},
}


@pytest.mark.parametrize("name", CASES)
def test_encode_then_decode_is_exact(name: str) -> None:
    signal = make_signal().with_(**CASES[name])
    members = encode(signal)
    _same(decode(members), signal)
    assert encode(decode(members)) == members, "equal signals give equal bytes"


@settings(max_examples=50, deadline=None)
@given(
    start=st.floats(-1e3, 1e3),
    steps=st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=20),
    uniform=st.booleans(),
)
def test_any_time_axis_survives(start: float, steps: list[float], uniform: bool) -> None:
    axis = start + (steps[0] * np.arange(len(steps)) if uniform else np.cumsum(steps))
    if np.any(np.diff(axis) <= 0):
        return
    signal = make_signal(times=len(axis), time_s=axis)
    steps_back = np.abs(decode(encode(signal)).time_s - axis) / np.diff(axis, prepend=axis[0] - 1).min()
    assert steps_back.max() <= 1e-6
    if uniform and start == 0:
        np.testing.assert_array_equal(decode(encode(signal)).time_s, axis)


def test_a_window_of_a_long_recording_writes_its_clock_in_three_numbers() -> None:
    sampled = np.arange(5_000) / 2.4e6
    signal = make_signal(times=4096, links=1, responses=1, time_s=sampled[700:4796] - sampled[700])
    members = encode(signal)
    assert len(members["meta.json"]) < 1_000
    np.testing.assert_allclose(decode(members).time_s, signal.time_s, rtol=0, atol=1e-6 / 2.4e6)
    assert encode(decode(members)) == members
    for jitter in (1e-5, 1e-4):  # a measured clock is kept as it is
        measured = sampled[:4096] + jitter / 2.4e6 * np.random.default_rng(0).random(4096)
        kept = decode(encode(signal.with_(time_s=measured))).time_s
        np.testing.assert_array_equal(kept, measured)


def test_plain_numpy_shows_what_was_not_measured_as_nan() -> None:
    array = np.load(io.BytesIO(encode(make_signal(**CASES["lost"]))["signal.npy"]), allow_pickle=False)
    np.testing.assert_array_equal(np.isnan(array), np.broadcast_to(np.arange(16) % 5 == 0, array.shape))
    real = np.load(io.BytesIO(encode(make_signal(**CASES["real"]))["signal.npy"]), allow_pickle=False)
    assert real.dtype == np.float32


class _Bomb:
    """Unpickling it would say so."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a pickle was loaded",)


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([_Bomb()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def test_a_pickled_array_is_refused_unopened() -> None:
    for member in ("signal.npy", "clean.npy"):
        with pytest.raises(ShardError, match="shard-7:key: cannot be decoded"):
            decode({**encode(make_signal()), member: _pickled()}, "shard-7:key")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta: meta.pop("time_s"), "time_s"),
        (lambda meta: meta.update(links=[[0, 0]]), "cannot be decoded"),
        (lambda meta: meta.update(links=[[0, 0, [1.0], None], [0, 1, None, None]]), "cannot be decoded"),
        (lambda meta: meta.update(labels=["walk"]), "cannot be decoded"),
        (lambda meta: meta.update(carrier_hz="5 GHz"), "cannot be decoded"),
        (lambda meta: meta.update(schema_version=99), "schema_version 99 is newer"),
    ],
)
def test_damaged_metadata_is_a_shard_error_that_says_where(change, message: str) -> None:  # type: ignore[no-untyped-def]
    members = encode(make_signal())
    meta = json.loads(members["meta.json"])
    change(meta)
    with pytest.raises(ShardError, match=f"here: .*{message}"):
        decode({**members, "meta.json": json.dumps(meta).encode()}, "here")


@pytest.mark.parametrize("cut", [0, 5, 60, 200])
def test_truncated_members_are_shard_errors(cut: int) -> None:
    members = encode(make_signal())
    for name in members:
        with pytest.raises(ShardError, match="here"):
            decode({**members, name: members[name][:cut]}, "here")


def test_missing_members_are_named() -> None:
    members = encode(make_signal())
    for name in ("signal.npy", "meta.json"):
        with pytest.raises(ShardError, match=f"here: member {name} is missing"):
            decode({key: value for key, value in members.items() if key != name}, "here")


def _delayed(**changes: object) -> Signal:
    return make_signal(frequency_hz=None, delay_s=5e-9 + np.arange(16) * 1e-9, kind="cir", **changes)


@pytest.mark.parametrize("tap", [0, 1, 7, 15])
def test_a_single_tap_has_the_phase_of_its_delay(tap: int) -> None:
    values = np.zeros((2, 1, 16), np.complex64)
    values[:, :, tap] = 2.0
    delay = 5e-9 + np.arange(16) * 1e-9
    signal = to_frequency(make_signal(times=2, links=1, values=values, frequency_hz=None, delay_s=delay, kind="cir"))
    assert signal.frequency_hz is not None
    np.testing.assert_allclose(np.diff(signal.frequency_hz), 1e9 / 16)
    assert signal.frequency_hz[8] == 0
    expected = 2.0 / 4 * np.exp(-2j * np.pi * signal.frequency_hz * delay[tap])
    np.testing.assert_allclose(signal.values[1, 0], expected, atol=1e-6)


@pytest.mark.parametrize("count", [15, 16])
def test_the_domains_are_each_others_inverse_with_their_axes(count: int) -> None:
    delay = 5e-9 + np.arange(count) * 1e-9
    clean = make_signal(9, responses=count).values
    signal = make_signal(responses=count, frequency_hz=None, delay_s=delay, kind="cir", clean=clean)
    there = to_frequency(signal)
    back = to_delay(there, first_delay_s=5e-9)
    np.testing.assert_allclose(back.values, signal.values, atol=1e-5)
    np.testing.assert_allclose(back.clean, clean, atol=1e-5)  # type: ignore[arg-type]
    np.testing.assert_allclose(back.delay_s, delay, rtol=1e-12)  # type: ignore[arg-type]
    again = to_frequency(back)
    np.testing.assert_allclose(again.values, there.values, atol=1e-5)
    np.testing.assert_allclose(again.frequency_hz, there.frequency_hz, rtol=1e-9)  # type: ignore[arg-type]
    power = np.sum(np.abs(signal.values) ** 2)
    np.testing.assert_allclose(np.sum(np.abs(there.values) ** 2), power, rtol=1e-5)


def test_a_real_impulse_response_becomes_complex_in_frequency() -> None:
    signal = _delayed(values=make_signal().values.real, is_real=True)
    there = to_frequency(signal)
    assert not there.is_real
    np.testing.assert_allclose(to_delay(there, 5e-9).values, signal.values, atol=1e-5)


def test_a_domain_change_refuses_what_it_would_smear() -> None:
    with pytest.raises(SignalError, match="already in the frequency domain"):
        to_frequency(make_signal())
    with pytest.raises(SignalError, match="already in the delay domain"):
        to_delay(_delayed())
    with pytest.raises(SignalError, match="every entry valid"):
        to_frequency(_delayed(valid=np.arange(16) != 3))
    with pytest.raises(SignalError, match="uniformly sampled"):
        to_delay(make_signal(frequency_hz=np.arange(16.0) ** 2))
