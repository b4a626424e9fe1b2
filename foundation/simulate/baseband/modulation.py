"""Windows of eleven modulations over channels that differ from session to session, and splits by channel.

A session is one channel at one signal-to-noise ratio, over which every modulation is sent twice: the channel says
nothing of the modulation. Of ten sessions, six train; one has other channels of the same ranges; one validates and two
test on channels of other ranges.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from foundation.signal import Label, Signal
from foundation.simulate.baseband.channel import GUARD, ChannelRanges, draw_channel, received
from foundation.simulate.baseband.sessions import noisy, refuse_empty_parts, windows
from foundation.simulate.baseband.waveforms import MODULATIONS, RATE_HZ, transmitted

SAMPLES = 128
SNRS_DB = tuple(range(-20, 20, 2))
WINDOWS = 2 * len(MODULATIONS)
#: Second word of the seeds, to separate them from those of other simulations.
_MODULATION = 11
#: Around the published channel (delay 1.7 samples, Rician factor 4, Doppler 1 Hz, clock within 250 ppm) and beyond it.
TRAINED = ChannelRanges((0.5, 1.7), (0.2, 0.6), (4.0, 10.0), (0.0, 20.0), (0.0, 100.0))
VALIDATED = ChannelRanges((1.7, 2.2), (0.6, 0.7), (2.5, 4.0), (20.0, 50.0), (100.0, 175.0))
TESTED = ChannelRanges((2.2, 3.2), (0.7, 0.9), (1.0, 2.5), (50.0, 100.0), (175.0, 250.0))
#: Surroundings of ten consecutive sessions, with the range of the carrier offset in hertz (published: at most 500) and
#: their name; and their parts by split.
_RANGES = (
    *[(TRAINED, (0, 200), "weak echoes")] * 7,
    (VALIDATED, (200, 350), "echoes"),
    *[(TESTED, (350, 500), "strong echoes")] * 2,
)
_PARTS = {"channel": (*["train"] * 6, "", "valid", "test", "test"), "draw": (*["train"] * 6, "test", "", "", "")}
#: Test parts: the lowest and highest signal-to-noise ratio in dB.
BANDS = {"test-low": (-20, -8), "test-middle": (-6, 4), "test-high": (6, 18)}
#: Windows with which every part has a session.
ENOUGH = 30 * WINDOWS


def simulate_modulation(count: int, seed: int, *, first: int = 0) -> Iterator[Signal]:
    """Generate `count` windows [128, 1, 1] with the noise-free truth, starting at window `first`; window i depends on
    (seed, i) only.

    Labels: `modulation`, and `snr` in dB: the ratio of signal to noise power in the window.

    Raises:
        RecipeError: `count`, `seed` or `first` is negative.
    """
    return windows("simulate_modulation", _session, WINDOWS, count, seed, first)


def modulation_splits(count: int) -> dict[str, dict[str, list[str]]]:
    """Session names by split and part: `channel` tests on channels of other ranges than those trained on, `draw` on
    other channels of the same ranges; their training parts are the same. Test parts are `BANDS`.

    Raises:
        RecipeError: `count` is too small for every part to have a session.
    """
    tests: dict[str, list[str]] = {part: [] for part in BANDS}
    splits: dict[str, dict[str, list[str]]] = {
        "channel": {"train": [], "valid": [], **{part: [] for part in tests}},
        "draw": {"train": [], **{part: [] for part in tests}},
    }
    for session in range(-(-count // WINDOWS)):
        for split, parts in _PARTS.items():
            part = parts[session % len(parts)]
            if part:
                splits[split][_band(session) if part == "test" else part].append(session_name(session))
    refuse_empty_parts("modulation_splits", splits, count, ENOUGH)
    return splits


def session_name(session: int) -> str:
    """Name of a session."""
    return f"channel-{session:05d}"


def snr_of(session: int) -> int:
    """Signal-to-noise ratio of a session in dB: within each part, all are visited in turn."""
    return SNRS_DB[(3 * session + session // len(_RANGES)) % len(SNRS_DB)]


def _band(session: int) -> str:
    return next(part for part, (low, high) in BANDS.items() if low <= snr_of(session) <= high)


def _session(seed: int, session: int) -> list[Signal]:
    rng = np.random.default_rng((seed, session, _MODULATION))
    ranges, offset_hz, environment = _RANGES[session % len(_RANGES)]
    channel = draw_channel(rng, ranges, float(rng.choice([-1, 1]) * rng.uniform(*offset_hz)))
    snr, name = snr_of(session), session_name(session)
    signals = []
    for modulation in rng.permutation(np.repeat(MODULATIONS, WINDOWS // len(MODULATIONS))):
        sent = transmitted(rng, str(modulation), SAMPLES + 2 * GUARD)
        heard = received(rng, sent, channel, RATE_HZ)
        labels: dict[str, Label] = {"modulation": str(modulation), "snr": float(snr)}
        signals.append(noisy(rng, heard, snr, RATE_HZ, labels, session=name, environment=environment))
    return signals
