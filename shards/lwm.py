"""The channels of LWM (Large Wireless Model): DeepMIMO scenarios with 32 antennas and 32 subcarriers of 30 kHz.

Origin: https://huggingface.co/wi-lab/lwm, whose channels are made from scenarios of https://deepmimo.net. Licence: CC
BY-NC-SA 4.0. Citation: Alikhani, Charan and Alkhateeb, Large Wireless Model (LWM), arXiv:2411.08872, 2024.
Files, samples and labels: as `deepmimo`. LWM made its channels with version 3 of the package, an array that is turned
by -135 degrees and chosen base stations; here the array is not turned and every base station of the scenario is used.
Split: `lwm`: the six cities on which LWM was tested test, all others train. A session is a scenario.
"""

from __future__ import annotations

from pathlib import Path

from foundation.data.shards.spec import Dataset
from foundation.datasets.common import parts
from foundation.datasets.deepmimo import channels, scenarios
from foundation.readers.arrays.deepmimo import Setup

NAME = "lwm"
SETUP = Setup(tx=32, bandwidth_hz=32 * 30e3, subcarriers=32)
#: With and without the carrier that newer releases append to the name.
TESTS = (
    "city_7_sandiego", "city_11_santaclara", "city_12_fortworth", "city_15_indianapolis", "city_18_denver",
    "city_19_oklahoma",
)  # fmt: skip


def build(raw: Path) -> Dataset:
    """The scenarios in the folder `raw`."""
    folders = scenarios(raw, NAME)
    part_of = {folder.name: "test" if folder.name.startswith(TESTS) else "train" for folder in folders}
    return channels(
        raw,
        folders,
        SETUP,
        {"lwm": parts(part_of, ("train", "test"))},
        name=NAME,
        title="LWM: DeepMIMO channels of 32 antennas and 32 subcarriers",
        citation="Alikhani, Charan and Alkhateeb, Large Wireless Model, arXiv:2411.08872",
    )
