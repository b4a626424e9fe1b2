"""ESPectre: motion and three gestures in one home, five kinds of ESP32 chip, nine days.

Origin: https://github.com/francescopace/espectre (HT at 20 MHz, about 100 packets per second). Licence: GPL-3.0, of the
whole repository. Citation: Pace, ESPectre, 2025, as at the address above.
Files: `espectre.npz`, 157 of the published recordings: CSI over packets, and names, chips and times over recordings.
Samples: windows of 100 packets, about a second, of 37 recordings of a quiet or a moving room; and 120 gesture clips of
the C3, their first 300 packets, about three seconds, of one day. 56 subcarriers. Packets have no times: they are spread
evenly over the duration of the recording. Recordings of the C6 of 2025 have energy at the carrier and at the edges of
the band, which HT packets have not: their subcarriers are assumed to be those of the later ones.
Labels: `motion`, baseline or movement, of windows; `gesture`, circle_cw, wave or no_gesture, of clips.
Splits: `chip-C`, leave one chip out, for motion; `gesture-time`, the first two thirds of the clips of each gesture
train: one sitting, so it is optimistic; `rest` holds a recording of a room with other movement. A session is a
recording.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import arrays, from_files, leave_out, parts, runs, windows
from foundation.readers.wifi.esp32_layouts import classic, newer
from foundation.readers.wifi.ofdm import INDICES, SPACING_HZ
from foundation.signal import Link, Signal

NAME = "espectre-esp32-chips"
HOMEPAGE = "https://github.com/francescopace/espectre"
PACKETS, CLIP_PACKETS = 100, 300
MOTIONS = ("baseline", "movement")
GESTURES = ("circle_cw", "no_gesture", "wave")
#: Where the duration is not known.
NOMINAL_HZ = 100.0
_TONES = 56


class _Recording(NamedTuple):
    session: str
    rows: slice
    label: str
    chip: str
    time: str
    interval_s: float


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    path = raw_files(raw, "espectre.npz", name=NAME, homepage=HOMEPAGE)[0]
    return from_files(
        raw,
        {path: partial(_read, path)},
        lambda: _splits(_recordings(path)),
        name=NAME,
        title="ESPectre: motion and gestures in a home, five ESP32 chips",
        licence="GPL-3.0",
        citation="Pace, ESPectre, 2025, https://github.com/francescopace/espectre",
        homepage=HOMEPAGE,
        tasks={"motion": "classification", "gesture": "classification"},
        parameters={"packets": PACKETS, "clip_packets": CLIP_PACKETS},
    )


def _recordings(path: Path) -> list[_Recording]:
    """The recordings by time."""
    row_of, files, labels, chips, times, durations = arrays(
        path, "recording", "rec_file", "rec_label", "rec_chip", "rec_time", "rec_duration_ms"
    )
    found = []
    for index, rows in runs(row_of):
        known = durations[index] > 0
        interval = float(durations[index]) * 1e-3 / (rows.stop - rows.start) if known else 1 / NOMINAL_HZ
        session = str(files[index]).removesuffix(".npz")
        found.append(_Recording(session, rows, str(labels[index]), str(chips[index]), str(times[index]), interval))
    return sorted(found, key=lambda each: (each.time, each.session))


def _read(path: Path) -> Iterator[Signal]:
    (buffers,) = arrays(path, "csi")
    for recording in _recordings(path):
        signal = _signal(buffers[recording.rows], recording)
        if recording.label in GESTURES:
            yield signal.window(0, CLIP_PACKETS).with_(labels={"gesture": recording.label})
        else:
            labels = {"motion": recording.label} if recording.label in MOTIONS else {}
            yield from (window.with_(labels=labels) for window in windows(signal, PACKETS))


def _signal(buffers: NDArray[Any], recording: _Recording) -> Signal:
    """The signal of int8 buffers [packets, 128], imaginary before real part of each subcarrier."""
    is_newer = recording.chip in ("c5", "c6")
    layout = newer(buffers[0]) if is_newer else classic(buffers.shape[1], 0, False)
    assert layout is not None, "128 bytes are a layout of every chip"
    order = layout.order(int(INDICES[_TONES].max()))
    pairs = buffers.reshape(len(buffers), -1, 2)[:, order].astype(np.float32)
    # The first four bytes of the ESP32 itself, the carrier and the subcarrier above it, are not an estimate; legacy
    # packets have nothing at the edges.
    valid = ((order >= 2) | (recording.chip != "esp32")) & pairs.any(axis=(0, 2))
    return Signal(
        values=(pairs[..., 1] + 1j * pairs[..., 0])[:, None],
        valid=valid,
        time_s=np.arange(len(buffers), dtype=np.float64) * recording.interval_s,
        links=(Link(),),
        frequency_hz=INDICES[_TONES] * np.float64(SPACING_HZ),
        kind="csi",
        carrier_hz=0.0,
        bandwidth_hz=20e6,
        device="ESP32" if recording.chip == "esp32" else f"ESP32-{recording.chip.upper()}",
        environment="espectre-home",
        session=recording.session,
    )


def _splits(recordings: list[_Recording]) -> Splits:
    moving = {each.session: each.chip for each in recordings if each.label in MOTIONS}
    rest = [each.session for each in recordings if each.label not in (*MOTIONS, *GESTURES)]
    splits: Splits = {name: split | {"rest": rest} for name, split in leave_out("chip", moving).items()}
    part_of: dict[str, str] = {}
    for gesture in GESTURES:
        clips = [each.session for each in recordings if each.label == gesture]
        last = math.ceil(2 * len(clips) / 3)
        part_of |= {session: "train" if index < last else "test" for index, session in enumerate(clips)}
    if part_of:
        splits["gesture-time"] = parts(part_of, ("train", "test"))
    return splits
