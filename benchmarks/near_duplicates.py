"""Miss rate and false-alarm rate of `foundation.data.shards.near_duplicates`.

    python benchmarks/near_duplicates.py [SHARDS ...]

On simulated windows, and on the samples of the given shard directories: there, false alarms are near duplicates between
two random halves of the samples, counted within a session and across sessions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from foundation.data.shards.corpus import read_part
from foundation.data.shards.near_duplicates import NearDuplicateIndex, Signs
from foundation.signal import Signal
from foundation.simulate.generate import simulate

COUNT, COPIES = 2000, 500


def main(directories: Sequence[str]) -> None:
    rng = np.random.default_rng(0)
    rooms, others = list(simulate(COUNT, 0)), list(simulate(COUNT, 1))
    index = _index(rooms)
    _say("false: other rooms", *_found(index, others))
    pairs = [[list(map(_clean, simulate(1000, seed))) for seed in (first, first + 1)] for first in range(0, 12, 2)]
    alarms = [_found(_index(known), other)[0] for known, other in pairs]
    _say("false: other rooms, noise-free", sum(alarms), 1000 * len(pairs))
    _say("false: same recordings", *_found(_index(rooms[::2]), rooms[1::2]))
    for name, change in _changes(rng).items():
        found, of = _found(index, [change(signal) for signal in rooms[:COPIES]])
        _say(f"missed: {name}", of - found, of)
    clean = _index(map(_clean, rooms))
    found, of = _found(clean, [_scaled(_clean(signal)) for signal in rooms[:COPIES]])
    _say("missed: scaled, noise-free", of - found, of)
    for directory in directories:
        signals = read_part(Path(directory))
        _real(Path(directory).name, [signals[i] for i in rng.permutation(len(signals))])


def _real(name: str, signals: list[Signal]) -> None:
    half = signals[::2]
    index = _index(half)
    found = [(signal, index.find(Signs.of(signal))) for signal in signals[1::2]]
    pairs = [(signal.session, half[copy.row].session) for signal, copy in found if copy]
    _say(f"{name}: other session", sum(a != b for a, b in pairs), len(found))
    _say(f"{name}: same session", sum(a == b for a, b in pairs), len(found))
    missed = [copy is None for signal in half[:COPIES] for copy in [index.find(Signs.of(_scaled(signal)))]]
    _say(f"{name}: missed, scaled", sum(missed), len(missed))


def _changes(rng: np.random.Generator) -> dict[str, Callable[[Signal], Signal]]:
    def window(size: int) -> Callable[[Signal], Signal]:
        return lambda signal: signal.window(int(rng.integers(0, len(signal.time_s) - size)), size)

    def gains(signal: Signal) -> Signal:
        return _times(signal, np.exp(rng.normal(0, 0.5, (len(signal.time_s), 1, 1))))

    def response(signal: Signal) -> Signal:
        return _times(signal, np.exp(rng.normal(0, 0.5, (1, *signal.values.shape[1:]))))

    def noise(decibels: float) -> Callable[[Signal], Signal]:
        def add(signal: Signal) -> Signal:
            level = np.sqrt(np.mean(np.abs(signal.values) ** 2) / 2 / 10 ** (decibels / 10))
            drawn = rng.normal(0, level, (2, *signal.values.shape))
            return signal.with_(values=(signal.values + drawn[0] + 1j * drawn[1]).astype(np.complex64), clean=None)

        return add

    return {
        "scaled": _scaled,
        "another gain for every packet": gains,
        "another static response": response,
        "amplitudes only": lambda signal: signal.with_(values=np.abs(signal.values), clean=None),
        "8 bit": lambda signal: _rounded(signal, 8),
        "6 bit": lambda signal: _rounded(signal, 6),
        **{f"window of {size} packets": window(size) for size in (64, 32, 10, 5, 3)},
        **{f"noise added at {level} dB": noise(level) for level in (40, 30, 25, 20)},
    }


def _times(signal: Signal, factor: np.ndarray) -> Signal:
    return signal.with_(values=(signal.values * factor).astype(np.complex64), clean=None)


def _scaled(signal: Signal) -> Signal:
    return _times(signal, np.float32(2.37))


def _clean(signal: Signal) -> Signal:
    return signal.with_(values=signal.clean, clean=None)


def _rounded(signal: Signal, bits: int) -> Signal:
    peak = np.abs(signal.values).max(axis=(1, 2), keepdims=True) / (2 ** (bits - 1) - 1) + 1e-30
    return signal.with_(values=np.round(signal.values / peak).astype(np.complex64), clean=None)


def _index(signals: object) -> NearDuplicateIndex:
    return NearDuplicateIndex([Signs.of(signal) for signal in signals])  # type: ignore[attr-defined]


def _found(index: NearDuplicateIndex, signals: list[Signal]) -> tuple[int, int]:
    return sum(index.find(Signs.of(signal)) is not None for signal in signals), len(signals)


def _say(what: str, count: int, of: int) -> None:
    print(f"{what:45s} {count:5d} of {of}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
