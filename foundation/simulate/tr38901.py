"""MIMO-OFDM channels of 3GPP TR 38.901 (UMi, UMa, RMa): users in a sector of a base station with a linear array.

Everything about the model comes from Sionna (https://github.com/nvlabs/sionna, Apache-2.0; Hoydis et al.,
arXiv:2203.11854), which is an optional extra: `pip install 'foundation[sionna]'`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation.errors import MissingExtraError

ANTENNAS = 32  # of the base station: a horizontal line at half a wavelength; users have one
SUBCARRIERS, SPACING_HZ = 32, 30e3
USERS = 32  # of a drop
TRANSMIT_DBM = 0.0  # as in DeepMIMO's scenarios, so that both have the same unit

#: Offsets of the subcarriers from the carrier.
FREQUENCY_HZ: NDArray[np.float64] = (np.arange(SUBCARRIERS, dtype=np.float64) - (SUBCARRIERS - 1) / 2) * SPACING_HZ


class Scene(NamedTuple):
    """A scenario of the report, `UMi`, `UMa` or `RMa`, at a carrier."""

    scenario: str
    carrier_hz: float

    @property
    def name(self) -> str:
        return f"{self.scenario.lower()}-{self.carrier_hz / 1e9:g}ghz"


class Drop(NamedTuple):
    """Users that were dropped at once, in the coordinates of the sector: the base station is above its origin.

    Attributes:
        channel: complex64 [users, antennas, subcarriers], square root of watts at a transmit power of 0 dBm.
        in_sight: bool [users], whether the user has line of sight.
        users_m: float64 [users, 3].
        antennas_m: float64 [antennas, 3], from one end of the array to the other.
        broadside: float, azimuth in radians that the array faces.
    """

    channel: NDArray[np.complex64]
    in_sight: NDArray[np.bool_]
    users_m: NDArray[np.float64]
    antennas_m: NDArray[np.float64]
    broadside: float


def drop_users(scene: Scene, seed: int) -> Drop:
    """`USERS` outdoor users at random places of a sector, with path loss and shadowing; depends on its arguments only.

    Large-scale parameters of users that are close are correlated, as the report says. Delays count from a user's first
    path, as after its synchronisation.

    Raises:
        MissingExtraError: Sionna is not installed.
    """
    import torch

    threads, random = torch.get_num_threads(), torch.get_rng_state()  # first: loading Sionna draws a seed
    config, *_ = _sionna()
    before = config.device
    try:
        torch.set_num_threads(1)  # sums over more threads have other last digits
        config.device, config.seed = "cpu", seed  # a seed of Sionna's is also one of torch
        return _drop(scene)
    finally:
        config.device = before
        torch.set_rng_state(random)
        torch.set_num_threads(threads)


def _drop(scene: Scene) -> Drop:
    import torch

    model = _model(scene)
    _, channel, _ = _sionna()
    topology = channel.gen_single_sector_topology(1, USERS, scene.scenario.lower(), indoor_probability=0.0)
    outdoors = {"in_car": torch.zeros(1, USERS, dtype=torch.bool)} if scene.scenario == "RMa" else {}
    with torch.no_grad():
        model.set_topology(*topology, los="random", **outdoors)
        gains, delays = model(1, SPACING_HZ)  # [1, users, 1, 1, antennas, paths, 1], [1, users, 1, paths]
        # Sionna's cir_to_ofdm_channel gives the same in twice the time.
        offsets = torch.tensor(FREQUENCY_HZ, dtype=torch.float32)
        phase = -2 * torch.pi * offsets[:, None] * delays[0, :, 0, None, :]
        field = torch.einsum("uap,ufp->uaf", gains[0, :, 0, 0, :, :, 0], torch.polar(torch.ones_like(phase), phase))
    users, station, _, facing, *_ = (part[0].double().numpy() for part in topology)
    across = model._scenario.bs_array.ant_pos[:, 1].double().numpy()  # along the array, about its middle
    yaw = float(facing[0, 0])
    return Drop(
        channel=(field * 10 ** ((TRANSMIT_DBM - 30) / 20)).numpy(),
        in_sight=model._scenario.los[0, 0].numpy(),
        users_m=users,
        antennas_m=station + across[:, None] * np.array([-np.sin(yaw), np.cos(yaw), 0.0]),
        broadside=yaw,
    )


def _model(scene: Scene) -> Any:
    """Sionna's model of a scene. A drop has one of its own, since it keeps what it drew for the drops before."""
    *_, library = _sionna()

    def line(antennas: int, pattern: str) -> Any:
        return library.PanelArray(
            num_rows_per_panel=1,
            num_cols_per_panel=antennas,
            polarization="single",
            polarization_type="V",
            antenna_pattern=pattern,
            carrier_frequency=scene.carrier_hz,
        )

    indoors = {} if scene.scenario == "RMa" else {"o2i_model": "low"}  # required, though nobody is indoors
    return getattr(library, scene.scenario)(
        carrier_frequency=scene.carrier_hz,
        ut_array=line(1, "omni"),
        bs_array=line(ANTENNAS, "38.901"),
        direction="downlink",
        **indoors,
    )


def _sionna() -> tuple[Any, Any, Any]:
    """Sionna's settings, its channels and those of the report.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from sionna.phy import channel, config
        from sionna.phy.channel import tr38901
    except ModuleNotFoundError:
        raise MissingExtraError(
            "TR 38.901 channels are made by Sionna, which is not installed; run pip install 'foundation[sionna]'."
        ) from None
    return config, channel, tr38901
