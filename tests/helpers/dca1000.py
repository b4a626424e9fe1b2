"""Recordings of a DCA1000: the order in which its lanes send samples."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

FRAMES, LOOPS, TX, RX, SAMPLES = 3, 4, 2, 3, 6
SETUP = {
    "layout": "two-lane",
    "receivers": RX,
    "transmitters": TX,
    "adc_samples": SAMPLES,
    "chirp_loops": LOOPS,
    "sample_rate_hz": 5e6,
    "start_frequency_hz": 77e9,
    "slope_hz_per_s": 60e12,
    "chirp_interval_s": 50e-6,
    "frame_interval_s": 40e-3,
    "adc_start_s": 6e-6,
}


def cube(seed: int = 0) -> np.ndarray:
    """Integer-valued complex [frames, loops, tx, rx, samples]."""
    parts = np.random.default_rng(seed).integers(-32768, 32768, (2, FRAMES, LOOPS, TX, RX, SAMPLES))
    return np.asarray(parts[0] + 1j * parts[1])


def numbers(adc: np.ndarray, layout: str, is_complex: bool = True, q_first: bool = False) -> list[int]:
    """The file's numbers as SWRA581 tabulates them, one chirp after the other."""
    out: list[int] = []
    for chirp in adc.reshape(-1, RX, SAMPLES):
        if layout == "two-lane":
            for receiver in chirp:
                if not is_complex:
                    out += [int(v.real) for v in receiver]
                    continue
                for pair in receiver.reshape(-1, 2):
                    halves = [int(v.real) for v in pair], [int(v.imag) for v in pair]
                    out += [*halves[q_first], *halves[not q_first]]
        else:
            for sample in chirp.T:
                real, imag = [int(v.real) for v in sample] + [0], [int(v.imag) for v in sample] + [0]
                out += ([*imag, *real] if q_first else [*real, *imag]) if is_complex else real
    return out


def written(folder: Path, values: list[int], **changes: object) -> Path:
    (folder / "adc_data.bin").write_bytes(struct.pack(f"<{len(values)}h", *values))
    (folder / "adc_data.json").write_text(json.dumps({**SETUP, **changes}))
    return folder / "adc_data.bin"
