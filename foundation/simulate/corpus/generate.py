"""Sessions of all kinds in turn, and the split that holds rooms out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from foundation.errors import RecipeError
from foundation.signal import Signal
from foundation.simulate.corpus.draw import WINDOWS
from foundation.simulate.corpus.places import cir, rssi
from foundation.simulate.corpus.radar import radar
from foundation.simulate.corpus.waveforms import iq, spectrogram
from foundation.simulate.corpus.wifi import channel, csi, csi_amplitude

Draw = Callable[[np.random.Generator, int, int], list[Signal]]
#: Sessions take turns: most of what is measured in rooms is Wi-Fi.
SCHEDULE: tuple[Draw, ...] = (
    csi, radar, csi_amplitude, cir, csi, iq, channel, csi_amplitude, csi, spectrogram, rssi, csi, radar, csi_amplitude,
    cir, channel,
)  # fmt: skip
#: One room in so many is held out; no multiple of two, so that they are of all kinds.
HELD_OUT_EVERY = 11
#: How often a recording does not tell its carrier, as real ones do not.
UNKNOWN_CARRIER = 0.15
#: Fourth word of a session's seed, so that no stream is one of `foundation.simulate.generate`.
_CORPUS = 7


def corpus(count: int, seed: int, *, first: int = 0) -> Iterator[Signal]:
    """`count` windows from window `first` on, session after session; window i depends on (seed, i) alone.

    Sizes, carriers, rates, bandwidths, rooms, people and devices are drawn for every session, see the module of each
    kind for its ranges. Labels, where they are known: `activity` of a person alone (or `empty`), `position` in
    metres, `velocity`, `visibility`, `distance`, `modulation`, `snr`.

    Raises:
        RecipeError: `count`, `seed` or `first` is negative.
    """
    for name, number in (("count", count), ("seed", seed), ("first", first)):
        if number < 0:
            raise RecipeError(f"corpus: {name} is {number}; expected a whole number >= 0.")
    return _windows(first, first + count, seed)


def corpus_splits(count: int) -> dict[str, dict[str, list[str]]]:
    """`room`: every eleventh session, and so room, validates; all others train.

    Raises:
        RecipeError: `count` is too small to hold a session out.
    """
    parts: dict[str, list[str]] = {"train": [], "valid": []}
    for session in range(-(-count // WINDOWS)):
        parts["valid" if session % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else "train"].append(session_name(session))
    if not parts["valid"]:
        raise RecipeError(
            f"corpus_splits: count {count} leaves no room to hold out; ask for {HELD_OUT_EVERY * WINDOWS} or more."
        )
    return {"room": parts}


def session_name(session: int) -> str:
    return f"corpus-{session:06d}"


def _windows(first: int, stop: int, seed: int) -> Iterator[Signal]:
    for session in range(first // WINDOWS, -(-stop // WINDOWS)):
        start = session * WINDOWS
        yield from _session(seed, session)[max(0, first - start) : stop - start]


def _session(seed: int, session: int) -> list[Signal]:
    rng = np.random.default_rng((seed, session, 0, _CORPUS))
    windows = SCHEDULE[session % len(SCHEDULE)](rng, seed, session)
    name = session_name(session)
    shared = {"session": name, "environment": name, "source": "foundation.simulate.corpus", "licence": "CC0-1.0"}
    hidden = {"carrier_hz": 0.0} if rng.random() < UNKNOWN_CARRIER else {}
    return [window.with_(**shared, **hidden) for window in windows]
