"""Windows of a dozen transmitters that send the same preamble, on several days, and splits by day.

A session is one transmitter at one position on one day. Every session has a channel of its own; a day has a
temperature, at which oscillators have other offsets. Days 1 to 3 train, the warmer day 4 validates, and day 5, cold and
with longer delays, tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from foundation.signal import Signal
from foundation.simulate.baseband.channel import GUARD, ChannelRanges, draw_channel, received
from foundation.simulate.baseband.front_end import carrier_offset, emitted, make_front_end
from foundation.simulate.baseband.linear import Field, qam, shaped
from foundation.simulate.baseband.sessions import noisy, refuse_empty_parts, windows

TRANSMITTERS = 12
SAMPLES, WINDOWS = 256, 8
CARRIER_HZ, RATE_HZ = 2.45e9, 5e6
#: The preamble is 16-QAM, whose peaks drive the amplifier into saturation.
POINTS, SAMPLES_PER_SYMBOL, ROLL_OFF = qam(16), 4, 0.25
SNR_DB = (15.0, 30.0)
TEMPERATURE_C = (20.0, 23.0, 26.0, 32.0, 8.0)
NEAR = ChannelRanges((0.3, 1.0), (0.1, 0.5), (3.0, 10.0), (0.0, 10.0), rate_ppm=(0.0, 5.0))
FAR = ChannelRanges((1.0, 2.0), (0.3, 0.7), (1.0, 3.0), (0.0, 10.0), rate_ppm=(0.0, 5.0))
DAYS = (NEAR, NEAR, NEAR, NEAR, FAR)
#: Standard deviation of what ageing and warming up add to an offset: on a day, and in a recording.
AGEING_PPM, WARMING_PPM = 1.0, 0.2
#: Of the positions on a day, every fourth tests in the split by recording.
HELD_OUT_EVERY = 4
#: Sessions of one position, and windows with which every part has a session.
_POSITION = TRANSMITTERS * len(DAYS)
ENOUGH = HELD_OUT_EVERY * _POSITION * WINDOWS
_TRANSMITTERS, _DAY, _PREAMBLE = 17, 19, 23


def simulate_transmitters(count: int, seed: int, *, first: int = 0) -> Iterator[Signal]:
    """Generate `count` windows [256, 1, 1] with the noise-free truth, starting at window `first`; window i depends on
    (seed, i) only. Label: `transmitter`.

    Raises:
        RecipeError: `count`, `seed` or `first` is negative.
    """
    return windows("simulate_transmitters", _session, WINDOWS, count, seed, first)


def transmitter_splits(count: int) -> dict[str, dict[str, list[str]]]:
    """Session names by split and part: `day` tests on a day that was not trained on, `recording` at other positions on
    the training days; their training parts are the same.

    Raises:
        RecipeError: `count` is too small for every part to have a session.
    """
    splits: dict[str, dict[str, list[str]]] = {
        "day": {"train": [], "valid": [], "test": []},
        "recording": {"train": [], "test": []},
    }
    for session in range(-(-count // WINDOWS)):
        position, day, _ = _numbers(session)
        name = session_name(session)
        if day >= 3:
            splits["day"]["valid" if day == 3 else "test"].append(name)
        elif position % HELD_OUT_EVERY == HELD_OUT_EVERY - 1:
            splits["recording"]["test"].append(name)
        else:
            splits["day"]["train"].append(name)
            splits["recording"]["train"].append(name)
    refuse_empty_parts("transmitter_splits", splits, count, ENOUGH)
    return splits


def session_name(session: int) -> str:
    """Name of a session."""
    position, day, transmitter = _numbers(session)
    return f"day-{day + 1}/tx-{transmitter:02d}-{position:04d}"


@lru_cache
def preamble() -> Field:
    """What all send, whatever the seed of the set: known symbols, as receivers cut them out of packets."""
    rng = np.random.default_rng(_PREAMBLE)
    return shaped(rng, POINTS, SAMPLES + 2 * GUARD, SAMPLES_PER_SYMBOL, ROLL_OFF)


def offset_of(seed: int, day: int, transmitter: int) -> float:
    """Carrier offset in hertz of a transmitter on a day: its own, with temperature and ageing."""
    ageing = np.random.default_rng((seed, transmitter, day, _DAY)).normal(0, AGEING_PPM * 1e-6 * CARRIER_HZ)
    return carrier_offset(make_front_end(seed, transmitter), TEMPERATURE_C[day], CARRIER_HZ) + float(ageing)


def _numbers(session: int) -> tuple[int, int, int]:
    """Position, day and transmitter of a session."""
    day, transmitter = divmod(session % _POSITION, TRANSMITTERS)
    return session // _POSITION, day, transmitter


def _session(seed: int, session: int) -> list[Signal]:
    rng = np.random.default_rng((seed, session, _TRANSMITTERS))
    _, day, transmitter = _numbers(session)
    front_end = make_front_end(seed, transmitter)
    offset = offset_of(seed, day, transmitter) + rng.normal(0, WARMING_PPM * 1e-6 * CARRIER_HZ)
    channel = draw_channel(rng, DAYS[day], offset)
    snr = float(rng.uniform(*SNR_DB))
    signals = []
    for _ in range(WINDOWS):
        heard = received(rng, emitted(rng, preamble(), front_end, RATE_HZ), channel, RATE_HZ)
        labels = {"transmitter": f"tx-{transmitter:02d}"}
        where = {"session": session_name(session), "environment": f"day-{day + 1}"}
        signals.append(noisy(rng, heard, snr, RATE_HZ, labels, **where).with_(carrier_hz=CARRIER_HZ))
    return signals
