"""Lines of ESP32 CSI text of every variant, and the signals that are read from them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from foundation.readers.wifi import esp32_csv
from foundation.readers.wifi.esp32_lines import FIELDS
from foundation.signal import Signal

MAC, OTHER_MAC = "1a:00:00:00:00:00", "78:11:DC:66:EC:94"
TOOL, ESP_CSI, ESP_CSI_C5 = (",".join(FIELDS[count]) for count in (26, 25, 15))


def random_buffer(seed: int, values: int = 128, legacy: bool = False) -> np.ndarray:
    """int8 [values], none zero; with `legacy`, the unused subcarriers of a legacy training field are."""
    buffer = np.random.default_rng(seed).integers(1, 127, values) * (-1) ** np.arange(values)
    if legacy:
        buffer.reshape(-1, 2)[27:38] = 0
    return np.asarray(buffer)


def line(buffer: np.ndarray, clock: int, names: str = TOOL, **fields: object) -> str:
    """One line of a variant; `fields` replace default values."""
    commas = names != TOOL
    values: dict[str, object] = dict.fromkeys(names.split(",")[:-1], 0)
    values |= {"type": "CSI_DATA", "mac": MAC, "rssi": -50, "channel": 6, "local_timestamp": clock, "len": len(buffer)}
    values |= fields
    numbers = ("," if commas else " ").join(map(str, buffer.tolist()))
    return ",".join(map(str, values.values())) + (f',"[{numbers}]"' if commas else f",[{numbers} ]") + "\n"


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(lines), newline="")
    return path


def read_one(path: Path, **options: float) -> Signal:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (signal,) = esp32_csv.read(path, **options)
    return signal


def index(signal: Signal, spacing_hz: float = 312_500.0) -> list[int]:
    assert signal.frequency_hz is not None
    return [int(k) for k in np.round(signal.frequency_hz / spacing_hz)]


def complex_of(buffer: np.ndarray) -> np.ndarray:
    """Imaginary part first (ESP-IDF programming guide)."""
    return np.asarray(buffer[1::2] + 1j * buffer[::2])
