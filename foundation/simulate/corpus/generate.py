"""Generate the corpus session by session, alternating kinds, and its split by room."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from foundation.errors import RecipeError
from foundation.signal import Signal
from foundation.signal.facts import CORPUS
from foundation.simulate.corpus.draw import WINDOWS
from foundation.simulate.corpus.positioning import cir, rssi
from foundation.simulate.corpus.radar import radar
from foundation.simulate.corpus.waveforms import iq, spectrogram
from foundation.simulate.corpus.wifi import channel, csi, csi_amplitude, sensing, sensing_amplitude

Draw = Callable[[np.random.Generator, int, int], list[Signal]]
#: Kinds of consecutive sessions; most indoor measurements are Wi-Fi.
SCHEDULE: tuple[Draw, ...] = (
    csi, radar, csi_amplitude, cir, sensing, iq, channel, sensing_amplitude, sensing, spectrogram, rssi, csi, radar,
    sensing_amplitude, cir, channel, sensing, radar, sensing, iq,
)  # fmt: skip
#: Every n-th room is held out; coprime to the length of the schedule, so that all kinds are.
HELD_OUT_EVERY = 11
#: Probability that the carrier of a recording is unknown, as in real recordings.
UNKNOWN_CARRIER = 0.15
#: Fourth word of a session's seed, to separate its stream from those of `foundation.simulate.generate`.
_CORPUS = 7


def corpus(count: int, seed: int, *, first: int = 0) -> Iterator[Signal]:
    """Generate `count` windows, starting at window `first`; window i depends on (seed, i) only.

    Sizes, carriers, rates, bandwidths, rooms, people and devices are drawn per session; the module of each kind has the
    ranges. Labels, if known: those of `foundation.simulate.facts`, `visibility`, `distance` (m), `modulation`, `snr`
    (dB).

    Raises:
        RecipeError: `count`, `seed` or `first` is negative.
    """
    for name, number in (("count", count), ("seed", seed), ("first", first)):
        if number < 0:
            raise RecipeError(f"corpus: {name} is {number}; expected a whole number >= 0.")
    return _windows(first, first + count, seed)


def corpus_splits(count: int) -> dict[str, dict[str, list[str]]]:
    """Session names by split and part: in `room` every eleventh session (and so room) is the part `valid`.

    Raises:
        RecipeError: `count` is too small for a held-out session.
    """
    parts: dict[str, list[str]] = {"train": [], "valid": []}
    for session in range(-(-count // WINDOWS)):
        parts["valid" if session % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else "train"].append(session_name(session))
    if not parts["valid"]:
        raise RecipeError(
            f"corpus_splits: count {count} leaves no room to hold out; request {HELD_OUT_EVERY * WINDOWS} or more."
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
    shared = {"session": name, "environment": name, "source": CORPUS, "licence": "CC0-1.0"}
    hidden = {"carrier_hz": 0.0} if rng.random() < UNKNOWN_CARRIER else {}
    return [window.with_(**shared, **hidden) for window in windows]
