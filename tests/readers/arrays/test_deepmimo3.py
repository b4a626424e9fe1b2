"""DeepMIMO 3 scenarios: the same paths give the same channels as in version 4, and malformed files."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.deepmimo import scenario, scenario3
from scipy.io import savemat

from foundation.errors import ReadError
from foundation.readers.arrays import deepmimo
from foundation.readers.arrays.deepmimo import Setup

SETUP = Setup(tx=4, rx=2, bandwidth_hz=10e6, subcarriers=8)


@pytest.mark.filterwarnings("ignore:.*left out 1 of 3 receivers")
@pytest.mark.parametrize("scene", ["", "scene_1"])
@pytest.mark.parametrize(
    "form", [{}, {"has_place": False}, {"polarised": True}, {"compress": False}], ids=lambda form: str(form)
)
def test_the_same_paths_give_the_same_channels(tmp_path: Path, form: dict[str, bool], scene: str) -> None:
    wanted = deepmimo.read(scenario(tmp_path / "v4" / "city"), SETUP)
    folder = scenario3(tmp_path / "v3" / "city" / scene, **form)
    if scene:
        (folder / "params.mat").rename(folder.parent / "params.mat")
    signals = deepmimo.read(tmp_path / "v3" / "city", SETUP)
    assert len(signals) == len(wanted) == 2
    for signal, other in zip(signals, wanted, strict=True):
        np.testing.assert_allclose(signal.values, other.values, rtol=1e-5)
        assert signal.labels == other.labels
        assert signal.links == other.links
        assert (signal.carrier_hz, signal.session) == (3.5e9, "city")


def test_one_file_alone_and_a_carrier_that_is_given(tmp_path: Path) -> None:
    path = scenario3(tmp_path / "city") / "BS1_UE_0-2.mat"
    with pytest.warns(UserWarning, match="says carrier_hz 3500000000; the given 28000000000 is used"):
        assert deepmimo.read(path, Setup(carrier_hz=28e9))[0].carrier_hz == 28e9
    (path.parent / "params.mat").unlink()
    with pytest.warns(UserWarning, match="no params.mat beside it, so transmit_power is taken as 0"):
        assert len(deepmimo.read(path)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"H": np.ones(3)}, "holds H; expected channels and rx_locs of a DeepMIMO 3 scenario"),
        ({"channels": np.ones((1, 2)), "rx_locs": np.ones((2, 5))}, "is truncated or damaged .it is not a cell array"),
        (
            {"channels": [np.ones((8, 2)), "x"], "rx_locs": np.ones((2, 5))},
            "a cell holds a character array, not numbers",
        ),
        (
            {"channels": [np.ones((8, 2)), np.ones((3, 3))], "rx_locs": np.ones((2, 5))},
            "2 cells, .* an array of 8 rows",
        ),
        ({"channels": [np.ones((8, 2)), np.ones((8, 1))], "rx_locs": np.ones((3, 5))}, "a row of rx_locs and an array"),
        ({"channels": [np.ones((8, 2)), np.ones((8, 1))], "rx_locs": "here"}, "rx_locs is a MATLAB character array"),
    ],
)
def test_what_is_no_file_of_users_is_named(tmp_path: Path, content: dict, message: str) -> None:
    path = scenario3(tmp_path / "city") / "BS1_UE_0-2.mat"
    if isinstance(content.get("channels"), list):
        cells = np.empty((1, 2), object)
        cells[0, :] = content["channels"]
        content = content | {"channels": cells}
    savemat(path, content)
    with pytest.raises(ReadError, match=message):
        deepmimo.read(path)


def test_damaged_files_give_channels_or_a_sentence(tmp_path: Path) -> None:
    path = scenario3(tmp_path / "city", compress=False) / "BS1_UE_0-2.mat"
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(data[: int(rng.integers(130, len(data) + 1))])
        for at in rng.integers(128, len(changed), size=3):
            changed[at] = int(rng.integers(256))
        path.write_bytes(changed)
        with warnings.catch_warnings(), contextlib.suppress(ReadError):
            warnings.simplefilter("ignore")
            assert len(deepmimo.read(path)) <= 2
