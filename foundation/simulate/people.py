"""Model of people as six moving scatterers: both sides of the chest, both hands, both legs.

An activity is a set of parameter ranges; parameters are drawn per window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.simulate.config import PERSON, SimulationConfig
from foundation.simulate.rooms import Array

Range = tuple[float, float]
#: Smallest distance between a torso and the walls.
MARGIN_M = 0.4
#: Candidate trajectories, of which the one that fits the room best is taken.
_CANDIDATES = 4
_SIDE = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])  # left, right
CHEST, LIMBS = slice(0, 2), slice(2, 6)
_HANDS, _LEGS = slice(2, 4), slice(4, 6)
# Bistatic radar cross sections of an adult; in total more than the usual 1 m2 of backscatter, due to forward scatter.
_RCS_M2 = np.array([1.2, 1.2, 0.3, 0.3, 0.5, 0.5])


#: Groups of scatterers that swing together.
_GROUPS = {"hand": slice(3, 4), "hands": slice(2, 4), "leg": slice(5, 6), "upper": slice(0, 4), "body": slice(0, 6)}


@dataclass(frozen=True)
class Swing:
    """A periodic movement of some scatterers.

    Attributes:
        group: see `_GROUPS`.
        axis: 0 forward, 1 left, 2 up.
        amplitude: m.
        turn: phase in turns: a quarter between two axes is a circle.
        mirrored: the two sides move against each other.
        one_sided: in one direction from rest and back, as a jump.
    """

    group: str
    axis: int
    amplitude: Range
    turn: float = 0.0
    mirrored: bool = False
    one_sided: bool = False


@dataclass(frozen=True)
class Motion:
    """Parameter ranges of an activity.

    Attributes:
        speed: of the torso, m/s.
        stride: frequency in Hz, half the step rate.
        arm, leg: swing amplitudes, m.
        wave, wave_hz: amplitude (m) and frequency (Hz) of one raised hand.
        drop: by which the torso is lowered, m.
        spin: rotation rate about the vertical axis, rad/s, of random sign.
        swings, swing_hz: periodic movements at one common frequency in Hz.
    """

    speed: Range = (0, 0)
    stride: Range = (0.7, 1.2)
    arm: Range = (0, 0.02)
    leg: Range = (0, 0)
    wave: Range = (0, 0)
    wave_hz: Range = (0, 0)
    drop: Range = (0, 0)
    spin: Range = (0, 0)
    swings: tuple[Swing, ...] = ()
    swing_hz: Range = (0, 0)


MOTIONS: dict[str, Motion] = {
    "still": Motion(),
    "walk": Motion(speed=(0.6, 1.3), stride=(0.75, 1.0), arm=(0.1, 0.25), leg=(0.12, 0.25)),
    "run": Motion(speed=(2.2, 3.2), stride=(1.4, 1.8), arm=(0.2, 0.35), leg=(0.35, 0.5)),
    "wave": Motion(wave=(0.25, 0.4), wave_hz=(1.2, 2.5)),
    "sit_down": Motion(drop=(0.35, 0.55)),
    "turn": Motion(leg=(0, 0.04), spin=(1.4, 3.0)),
    "stand_up": Motion(drop=(-0.55, -0.35)),
    "fall": Motion(drop=(0.5, 0.7)),
    "push": Motion(swings=(Swing("hand", 0, (0.2, 0.4), one_sided=True),), swing_hz=(0.4, 1.5)),
    "swipe": Motion(swings=(Swing("hand", 1, (0.2, 0.4)),), swing_hz=(0.4, 1.2)),
    "circle": Motion(
        swings=(Swing("hand", 1, (0.12, 0.3)), Swing("hand", 2, (0.12, 0.3), turn=0.25)), swing_hz=(0.4, 1.5)
    ),
    "clap": Motion(swings=(Swing("hands", 1, (0.1, 0.25), mirrored=True),), swing_hz=(1.0, 3.0)),
    "raise_arms": Motion(swings=(Swing("hands", 2, (0.3, 0.6), one_sided=True),), swing_hz=(0.3, 0.7)),
    "shake": Motion(swings=(Swing("hand", 1, (0.03, 0.1)),), swing_hz=(2.5, 5.0)),
    "type": Motion(swings=(Swing("hands", 2, (0.01, 0.03), mirrored=True),), swing_hz=(2.0, 5.0)),
    "kick": Motion(swings=(Swing("leg", 0, (0.25, 0.5)),), swing_hz=(0.4, 1.2)),
    "jump": Motion(swings=(Swing("body", 2, (0.1, 0.3), one_sided=True),), swing_hz=(0.7, 1.8)),
    "squat": Motion(swings=(Swing("upper", 2, (-0.4, -0.2), one_sided=True),), swing_hz=(0.3, 0.8)),
    "bend": Motion(
        swings=(Swing("upper", 0, (0.15, 0.35), one_sided=True), Swing("upper", 2, (-0.3, -0.1), one_sided=True)),
        swing_hz=(0.25, 0.7),
    ),
}

_DRAWN = tuple(name for name in Motion.__dataclass_fields__ if not name.startswith("swing"))


@dataclass(frozen=True)
class Person:
    """Height in metres, radar cross section relative to an adult's, and tempo relative to the average."""

    height_m: float
    rcs: float
    tempo: float


def make_person(seed: int, index: int) -> Person:
    """Person `index`, identical in all sessions."""
    rng = np.random.default_rng((seed, index, PERSON))
    return Person(float(rng.uniform(1.5, 1.95)), float(rng.uniform(0.5, 1.6)), float(rng.uniform(0.85, 1.15)))


def move(
    rng: np.random.Generator, activities: list[str], person: Person, size_m: Array, config: SimulationConfig
) -> tuple[Array, Array]:
    """Positions of the six scatterers during each of B activities (none of them "empty").

    Returns:
        positions [B, 3, 6, T] in metres and radar cross sections [B, 6] in square metres.
    """
    count, t = len(activities), config.time_s
    ranges = {name: np.array([getattr(MOTIONS[a], name) for a in activities]) for name in _DRAWN}
    drawn = {name: rng.uniform(pair[:, 0], pair[:, 1])[:, None] for name, pair in ranges.items()}
    for name in ("speed", "stride", "wave_hz", "spin"):
        drawn[name] *= person.tempo
    drawn["spin"] *= rng.choice([-1.0, 1.0], (count, 1))
    path, heading = _trajectory(rng, drawn["speed"], size_m, t)
    facing = heading + drawn["spin"] * t
    forward, left, up = _posture(rng, drawn, person.height_m, t)
    _swing(rng, [MOTIONS[a] for a in activities], person.tempo, (forward, left, up), t)
    cosine, sine = np.cos(facing)[:, None], np.sin(facing)[:, None]
    x = path[:, 0, None] + forward * cosine - left * sine
    y = path[:, 1, None] + forward * sine + left * cosine
    rcs = _RCS_M2 * person.rcs * rng.uniform(0.6, 1.5, (count, 6))
    return np.stack([x, y, up], axis=1), rcs


def _trajectory(rng: np.random.Generator, speed: Array, size_m: Array, t: Array) -> tuple[Array, Array]:
    """A slightly curved trajectory inside the room, slower if the room is too small for it.

    Returns:
        positions [B, 2, T] and headings [B, T].
    """
    shape = (len(speed), _CANDIDATES, 1)
    bend = rng.uniform(-0.6, 0.6, shape) * (speed > 0)[:, None]  # a standing person does not turn
    heading = rng.uniform(-np.pi, np.pi, shape) + bend * t
    pace = speed * (1 + 0.2 * np.sin(_turns(rng, len(speed), (0.3, 1), t)))
    way = np.cumsum(pace[:, None] * np.stack([np.cos(heading), np.sin(heading)]), axis=3) * (t[1] - t[0])
    free = (size_m[:2] - 2 * MARGIN_M)[:, None, None]
    fits = np.minimum(1, (free / np.maximum(np.ptp(way, axis=3), 1e-9)).min(axis=0))
    best = np.arange(len(speed)), fits.argmax(axis=1)
    heading, way = heading[best], np.moveaxis(way, 0, 2)[best] * fits[best][:, None, None]
    low, high = way.min(axis=2), way.max(axis=2)
    start = rng.uniform(MARGIN_M - low, np.maximum(size_m[:2] - MARGIN_M - high, MARGIN_M - low))
    return start[:, :, None] + way, heading


def _posture(rng: np.random.Generator, drawn: dict[str, Array], height: float, t: Array) -> tuple[Array, Array, Array]:
    """Scatterer coordinates relative to the feet in the body frame: forward, left, up, each [B, 6, T]."""
    count = len(drawn["speed"])
    rest = [np.array([0.1, 0.1, 0.05, 0.05, 0, 0]), 0.1 * np.array([1.7, -1.7, 2.8, -2.8, 1, -1])]
    rest.append(height * np.array([0.72, 0.72, 0.47, 0.47, 0.25, 0.25]))
    forward, left, up = (np.broadcast_to(r[:, None], (count, 6, len(t))).copy() for r in rest)
    stride = (2 * np.pi * drawn["stride"] * t + _phase(rng, count))[:, None]
    swing = np.sin(stride) * _SIDE[:, None]
    forward[:, _LEGS] += drawn["leg"][:, None] * swing[:, _LEGS]
    forward[:, _HANDS] -= drawn["arm"][:, None] * swing[:, _HANDS]
    up[:, _LEGS] += 0.2 * drawn["leg"][:, None] * (1 + np.cos(stride) * _SIDE[_LEGS, None])
    up[:, CHEST] += 0.08 * drawn["leg"][:, None] * np.cos(2 * stride)
    _breathe_and_sway(rng, forward, left, t)
    _wave(rng, drawn, left, up, height, t)
    _sit(rng, drawn, forward, up, t)
    return forward, left, up


def _breathe_and_sway(rng: np.random.Generator, forward: Array, left: Array, t: Array) -> None:
    """Add breathing (4 to 8 mm at 0.2 to 0.4 Hz) and the postural sway of a standing body (1 to 4 mm)."""
    count = len(forward)
    breath = rng.uniform(0.004, 0.008, (count, 1)) * np.sin(_turns(rng, count, (0.2, 0.4), t))
    forward[:, CHEST] += breath[:, None]
    for axis in (forward, left):
        axis[:, :4] += (rng.uniform(0.001, 0.004, (count, 1)) * np.sin(_turns(rng, count, (0.2, 0.6), t)))[:, None]


def _wave(rng: np.random.Generator, drawn: dict[str, Array], left: Array, up: Array, height: float, t: Array) -> None:
    """Raise one hand to the head and swing it sideways."""
    count = len(left)
    waves = np.flatnonzero(drawn["wave"][:, 0])
    hand = rng.integers(2, 4, count)[waves]
    angle = 2 * np.pi * drawn["wave_hz"] * t + _phase(rng, count)
    up[waves, hand] += 0.45 * height - (0.3 * drawn["wave"] * np.cos(angle) ** 2)[waves]
    left[waves, hand] += (drawn["wave"] * np.sin(angle))[waves]


def _sit(rng: np.random.Generator, drawn: dict[str, Array], forward: Array, up: Array, t: Array) -> None:
    """Lower the torso by `drop` within 0.6 to 1.2 s, leaning forward in between and ending further back."""
    count = len(forward)
    begin, duration = rng.uniform(-0.1, 0.5, (count, 1)), rng.uniform(0.6, 1.2, (count, 1))
    share = np.clip((t - begin) / duration, 0, 1)
    share = share * share * (3 - 2 * share)
    drop = drawn["drop"]
    up[:, :4] -= (drop * share)[:, None]
    forward[:, :4] += (drop * (0.3 * np.sin(np.pi * share) - 0.5 * share))[:, None]


def _swing(rng: np.random.Generator, motions: list[Motion], tempo: float, axes: tuple[Array, ...], t: Array) -> None:
    """Add the periodic movements of each window."""
    for window, motion in enumerate(motions):
        if not motion.swings:
            continue
        turns = rng.uniform(*motion.swing_hz) * tempo * t + rng.uniform()
        for swing in motion.swings:
            angle = 2 * np.pi * (turns + swing.turn)
            wave = (1 - np.cos(angle)) / 2 if swing.one_sided else np.sin(angle)
            moved = rng.uniform(*swing.amplitude) * wave
            group = _GROUPS[swing.group]
            side = -_SIDE[group, None] if swing.mirrored else 1.0
            axes[swing.axis][window, group] += side * moved


def _turns(rng: np.random.Generator, count: int, hertz: Range, t: Array) -> Array:
    return 2 * np.pi * rng.uniform(*hertz, (count, 1)) * t + _phase(rng, count)


def _phase(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.uniform(-np.pi, np.pi, (count, 1))
