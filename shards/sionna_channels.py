"""MIMO-OFDM channels of 3GPP TR 38.901 in six scenes, made by Sionna: line of sight and the best of 64 beams.

Origin: `foundation.simulate.tr38901`, by Sionna 2 (https://github.com/nvlabs/sionna, Apache-2.0), an optional extra; no
file is needed. Licence of the samples: CC0-1.0. Citation: 3GPP TR 38.901; Hoydis et al., Sionna, arXiv:2203.11854.
Scenes: UMi, UMa and RMa, each at 3.5 and 28 GHz. Samples: a user of a sector each, noise-free, 32 antennas of the base
station in a line at half a wavelength (their places are those of the links) and 32 subcarriers of 30 kHz, as LWM has.
Labels: `los`, LOS or NLOS; `beam`, the one of 64 that carries most power to the user, summed over subcarriers, 0 to 63.
As for LWM, beams are steering vectors at evenly spaced azimuths; here they cover the 120 degrees of the sector and not
180, since beams that no user is in are no class, and LWM takes the power of the mean over subcarriers. The beam is a
function of the sample: the task asks whether features keep the angle.
Splits: `scene-NAME`, one scene out; `scenario-NAME` and `carrier-NAME`, both carriers of a scenario or all scenes of a
carrier. A session is a drop of 32 users; drops take turns over the scenes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from foundation.data.shards.spec import Dataset, Sample, Splits
from foundation.datasets.common import leave_out
from foundation.errors import ShardError
from foundation.signal import Link, Signal
from foundation.simulate.tr38901 import ANTENNAS, FREQUENCY_HZ, SPACING_HZ, SUBCARRIERS, USERS, Drop, Scene, drop_users

NAME, LICENCE = "sionna-channels", "CC0-1.0"
SCENES = tuple(Scene(scenario, carrier) for carrier in (3.5e9, 28e9) for scenario in ("UMi", "UMa", "RMa"))
PIECE = 8  # drops: 2 MB
BEAMS, SECTOR_DEGREES = 64, 120.0


def build(count: int, seed: int = 0) -> Dataset:
    """`count` users drawn from `seed`; the first of a longer set are those of a shorter one."""
    drops = -(-count // USERS)
    if drops < len(SCENES):
        raise ShardError(f"{NAME}: count is {count}; expected at least {len(SCENES) * USERS}, a drop in every scene.")
    return Dataset(
        name=NAME,
        title="MIMO-OFDM channels of 3GPP TR 38.901 in six scenes",
        licence=LICENCE,
        citation="3GPP TR 38.901; Hoydis et al., Sionna, arXiv:2203.11854",
        homepage="https://github.com/nvlabs/sionna",
        tasks={"los": "classification", "beam": "classification"},
        pieces=[partial(_samples, first, min(first + PIECE, drops), count, seed) for first in range(0, drops, PIECE)],
        splits=lambda: _splits(drops),
        parameters={"count": count, "seed": seed},
    )


def best_beam(channel: np.ndarray) -> np.ndarray:
    """int64 [N], from 0: of channels [N, antennas, subcarriers] of a line of antennas at half a wavelength."""
    azimuth = np.deg2rad(np.linspace(-SECTOR_DEGREES / 2, SECTOR_DEGREES / 2, BEAMS))
    beams = np.exp(-1j * np.pi * np.sin(azimuth)[:, None] * np.arange(channel.shape[1]))
    power = np.square(np.abs(beams @ channel.astype(np.complex128))).sum(axis=-1)
    return np.asarray(power.argmax(axis=-1))


def _scene(drop: int) -> Scene:
    return SCENES[drop % len(SCENES)]


def _session(drop: int) -> str:
    return f"{_scene(drop).name}/drop-{drop // len(SCENES):05d}"


def _samples(first: int, stop: int, count: int, seed: int) -> Iterator[Sample]:
    for drop in range(first, stop):
        own = np.random.default_rng((seed, drop)).integers(2**63)
        signals = _signals(_scene(drop), _session(drop), drop_users(_scene(drop), int(own)))
        for index, signal in enumerate(signals[: count - drop * USERS], start=drop * USERS):
            yield f"{index:09d}", signal


def _signals(scene: Scene, session: str, found: Drop) -> list[Signal]:
    beams = best_beam(found.channel)
    return [
        Signal(
            values=found.channel[user][None],
            time_s=np.zeros(1),
            links=tuple(Link(tx=n, tx_position_m=tuple(found.antennas_m[n].tolist())) for n in range(ANTENNAS)),
            frequency_hz=FREQUENCY_HZ,
            kind="channel",
            carrier_hz=scene.carrier_hz,
            bandwidth_hz=SUBCARRIERS * SPACING_HZ,
            device="Sionna",
            environment=scene.name,
            session=session,
            source=NAME,
            licence=LICENCE,
            labels={"los": "LOS" if found.in_sight[user] else "NLOS", "beam": int(beams[user])},
        )
        for user in range(USERS)
    ]


def _splits(drops: int) -> Splits:
    scene_of = {_session(drop): _scene(drop) for drop in range(drops)}
    return {
        **leave_out("scene", {session: scene.name for session, scene in scene_of.items()}),
        **leave_out("scenario", {session: scene.scenario.lower() for session, scene in scene_of.items()}),
        **leave_out("carrier", {session: f"{scene.carrier_hz / 1e9:g}ghz" for session, scene in scene_of.items()}),
    }
