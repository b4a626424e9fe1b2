"""Read DeepMIMO scenarios, version 4 or 3: ray-traced paths between base stations and receivers, as MIMO channels.

A scenario of version 4 (https://deepmimo.net) is a folder of matrices `<key>_t<set>_tx<index>_r<set>.npz` (also `.mat`,
`.npy`), one file per key and transmitter, and `params.json`; a single `.npz` with the same keys is read too. Matrices
are [receivers, paths], NaN where there are fewer paths: `power` (dB), `phase` (degrees), `delay` (s), `aoa_az`,
`aoa_el`, `aod_az`, `aod_el` (degrees; elevations are measured from the zenith), `inter` (the interactions as decimal
digits, 0 for the direct path); `rx_pos` and `tx_pos` are in metres. The deepmimo package requires numpy below 2.3: not
used. Version 3: see `foundation.readers.arrays.deepmimo3`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.arrays import deepmimo3
from foundation.readers.arrays.containers import open_container
from foundation.readers.files import ZIP_MAGIC, given_or_stated, parse_json, read_bytes
from foundation.signal import SPEED_OF_LIGHT, Link, Signal

_PATHS = ("power", "phase", "delay", "aoa_az", "aoa_el", "aod_az", "aod_el", "inter")
_KEYS = (*_PATHS, "rx_pos", "tx_pos")
_FILE = re.compile(rf"({'|'.join(_KEYS)})_(t\d+_tx\d+_r\d+)\.(?:npz|mat|npy)")
#: Size of a block: receivers times paths times subcarriers.
_BLOCK = 1 << 22

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Setup:
    """Antennas and subcarriers of the channels: uniform linear arrays along the y axis with half-wavelength spacing.

    Attributes:
        tx: antennas of the base station.
        rx: antennas of the receiver.
        bandwidth_hz: bandwidth, divided evenly among the subcarriers about the carrier.
        subcarriers: number of subcarriers.
        carrier_hz: carrier frequency; None takes that of the scenario. Where both are there and differ, a warning.
    """

    tx: int = 8
    rx: int = 1
    bandwidth_hz: float = 20e6
    subcarriers: int = 64
    carrier_hz: float | None = None

    def __post_init__(self) -> None:
        if min(self.tx, self.rx, self.subcarriers) < 1 or self.bandwidth_hz <= 0:
            raise ReadError(f"{self}: expected at least one antenna and subcarrier, and a bandwidth above 0 Hz.")

    @property
    def frequency_hz(self) -> Array:
        """Frequency offsets [subcarriers] from the carrier."""
        middle = (self.subcarriers - 1) / 2
        return (np.arange(self.subcarriers, dtype=np.float64) - middle) * (self.bandwidth_hz / self.subcarriers)


def sniff(head: bytes) -> bool:
    """True for a zip archive whose first member is one of DeepMIMO's matrices."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return head.startswith(ZIP_MAGIC) and name in {f"{key}.npy".encode() for key in _KEYS}


def read(path: Path, setup: Setup | None = None) -> list[Signal]:
    """Read every signal of a scenario folder, of one `.npz` or of one file of version 3, see `stream`."""
    return list(stream(path, setup))


def stream(path: Path, setup: Setup | None = None) -> Iterator[Signal]:
    """Read the channels of a scenario, one signal per transmitter and receiver that has a path.

        H(f) = sum over paths of 10^(power/20) exp(j phase) a_rx a_tx exp(-2 pi j f delay)

    with isotropic antennas, a = exp(j pi n sin(elevation) sin(azimuth)) for antenna n. This is the channel of the
    deepmimo package times the square root of the number of subcarriers, with the carrier at the centre of the band
    instead of its lower edge, and without dropping paths later than a symbol.

    Labels: `position` of the receiver in metres and `visibility`, LOS or NLOS. The session is the scenario.

    Yields:
        Signals with values [1, rx * tx, subcarriers], links ordered (rx, tx) with tx running fastest and with the
        positions of the transmit antennas.

    Raises:
        ReadError: a matrix is missing, damaged or of another shape, or no receiver has a path.
    """
    path, setup = Path(path), setup or Setup()
    scenario = path.name if path.is_dir() else path.stem
    older = deepmimo3.files(path)
    sources = older or _groups(path)
    carrier_hz = _carrier_hz(path, older, setup)
    unreached = total = 0
    for source in sources:
        rays = _load(source) if isinstance(source, dict) else _checked(deepmimo3.rays(source), str(source))
        paths = np.logical_and.reduce([np.isfinite(rays[key]) for key in _PATHS])
        reached = np.flatnonzero(paths.any(axis=1))
        total += len(paths)
        unreached += len(paths) - len(reached)
        yield from _signals(rays, paths, reached, setup, carrier_hz, scenario)
    if unreached == total:
        raise ReadError(f"{path}: none of its {total} receivers has a path; expected a ray-traced scenario.")
    if unreached:
        warnings.warn(f"{path}: left out {unreached} of {total} receivers without a path", stacklevel=2)


def _signals(
    rays: dict[str, Array],
    paths: NDArray[np.bool_],
    reached: NDArray[np.int64],
    setup: Setup,
    carrier_hz: float,
    scenario: str,
) -> Iterator[Signal]:
    """The signals of one transmitter at the receivers `reached`; `paths` [receivers, paths] marks existing paths."""
    links = _links(rays["tx_pos"], carrier_hz, setup)
    block = max(1, _BLOCK // (paths.shape[1] * max(setup.subcarriers, setup.tx * setup.rx)))
    for start in range(0, len(reached), block):
        rows = reached[start : start + block]
        field = _channel({key: np.where(paths[rows], rays[key][rows], 0) for key in _PATHS}, paths[rows], setup)
        direct = (paths[rows] & (rays["inter"][rows] == 0)).any(axis=1)
        for values, row, is_direct in zip(field, rows, direct, strict=True):
            yield Signal(
                values=values[None],
                time_s=np.zeros(1),
                links=links,
                frequency_hz=setup.frequency_hz,
                kind="channel",
                carrier_hz=carrier_hz,
                bandwidth_hz=setup.bandwidth_hz,
                environment=scenario,
                session=scenario,
                labels={
                    "position": tuple(float(x) for x in rays["rx_pos"][row]),
                    "visibility": "LOS" if is_direct else "NLOS",
                },
            )


def _groups(path: Path) -> list[dict[str, Path]]:
    """Per transmitter and set of receivers, a mapping key -> file."""
    if not path.is_dir():
        return [dict.fromkeys(_KEYS, path)]
    groups: dict[tuple[Path, str], dict[str, Path]] = {}
    for file in sorted(path.rglob("*_t*_tx*_r*.*")):
        if match := _FILE.fullmatch(file.name):
            groups.setdefault((file.parent, match[2]), {})[match[1]] = file
    if not groups:
        raise ReadError(
            f"{path}: has no matrix; expected DeepMIMO files such as power_t001_tx000_r000.npz (version 4) or "
            "BS1_UE_0-1000.mat (version 3); those of version 2 are not read."
        )
    for (folder, name), files in groups.items():
        if missing := [key for key in _KEYS if key not in files]:
            raise ReadError(f"{folder}: has no {missing[0]}_{name}.npz beside the others; download the scenario again.")
    return list(groups.values())


def _load(files: dict[str, Path]) -> dict[str, Array]:
    """Load the matrices of a transmitter as float64 and check their shapes."""
    rays: dict[str, Array] = {}
    with ExitStack() as stack:
        opened = {file: stack.enter_context(open_container(file)) for file in set(files.values())}
        for key, file in files.items():
            rays[key] = opened[file].array("array" if file.suffix == ".npy" else key).whole().astype(np.float64)
    return _checked(rays, str(files["power"].parent if files["power"] != files["delay"] else files["power"]))


def _checked(rays: dict[str, Array], where: str) -> dict[str, Array]:
    """The matrices of a transmitter, after checking that their shapes match."""
    receivers, paths = (*rays["power"].shape, 0, 0)[:2]
    for key in _KEYS:
        wanted = (1, 3) if key == "tx_pos" else (receivers, 3) if key == "rx_pos" else (receivers, paths)
        if key == "tx_pos" and rays[key].shape == (3,):
            rays[key] = rays[key][None]
        if rays[key].shape != wanted or 0 in wanted:
            raise ReadError(f"{where}: {key} has shape {rays[key].shape}; expected {wanted}: download it again.")
        if key in ("tx_pos", "rx_pos") and not np.isfinite(rays[key]).all():
            raise ReadError(f"{where}: {key} has an entry that is not finite; expected metres: download it again.")
    return rays


def _carrier_hz(path: Path, older: list[Path], setup: Setup) -> float:
    """The carrier that is given, else that of the scenario; `older` are its files of version 3."""
    try:
        stated = deepmimo3.carrier_hz(older[0]) if older else _stated_hz(path)
    except ReadError:
        if setup.carrier_hz is None:
            raise
        stated = 0.0
    return given_or_stated(setup.carrier_hz, stated, "carrier_hz", str(path))


def _stated_hz(path: Path) -> float:
    """The carrier in `params.json` of the scenario or of its first scene; 0 (unknown) for a single file."""
    found = sorted(path.rglob("params.json")) if path.is_dir() else []
    if not found:
        return 0.0
    try:
        return float(parse_json(read_bytes(found[0]), str(found[0]))["rt_params"]["frequency"])
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise ReadError(
            f"{found[0]}: has no number rt_params.frequency ({error}); give Setup(carrier_hz=...)."
        ) from None


def _links(tx_pos: Array, carrier_hz: float, setup: Setup) -> tuple[Link, ...]:
    spacing = SPEED_OF_LIGHT / carrier_hz / 2 if carrier_hz else 0.0
    x, y, z = (float(value) for value in tx_pos[0])
    positions = [(x, y + n * spacing, z) if carrier_hz else None for n in range(setup.tx)]
    return tuple(Link(t, r, tx_position_m=positions[t]) for r in range(setup.rx) for t in range(setup.tx))


def _channel(rays: dict[str, Array], paths: NDArray[np.bool_], setup: Setup) -> NDArray[np.complex64]:
    """The channel, complex64 [receivers, rx * tx, subcarriers]; entries of `rays` without a path are 0."""
    amplitude = np.where(paths, 10 ** (rays["power"] / 20), 0) * np.exp(1j * np.deg2rad(rays["phase"]))
    arrive = _array(rays["aoa_az"], rays["aoa_el"], setup.rx)
    depart = _array(rays["aod_az"], rays["aod_el"], setup.tx)
    pairs = (arrive[:, :, None] * depart[:, None]).reshape(len(paths), -1, paths.shape[1]) * amplitude[:, None]
    turns = np.exp(-2j * np.pi * rays["delay"][..., None] * setup.frequency_hz)
    return np.asarray(pairs @ turns, dtype=np.complex64)


def _array(azimuth_deg: Array, elevation_deg: Array, antennas: int) -> NDArray[np.complex128]:
    """Array response to each path, complex [receivers, antennas, paths]."""
    along = np.sin(np.deg2rad(elevation_deg)) * np.sin(np.deg2rad(azimuth_deg))
    return np.asarray(np.exp(1j * np.pi * np.arange(antennas)[:, None] * along[:, None]))
