"""The data set of TR 38.901 channels: labels that hold, splits by scene, and bytes by the seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foundation.data.shards.verify import verify
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.datasets.sionna_channels import BEAMS, SCENES, best_beam
from foundation.errors import ShardError
from foundation.simulate.tr38901 import USERS, drop_users

COUNT = USERS * len(SCENES) + 5


def test_a_plane_wave_has_the_beam_of_its_azimuth() -> None:
    azimuth = np.linspace(-60, 60, BEAMS)
    wave = np.exp(1j * np.pi * np.sin(np.deg2rad(azimuth))[:, None, None] * np.arange(32)[:, None])
    phase = np.exp(2j * np.pi * np.arange(8) / 8)  # over subcarriers, whose mean is 0
    np.testing.assert_array_equal(best_beam((1e-7 * wave * phase).astype(np.complex64)), np.arange(BEAMS))


def test_too_few_users_are_refused_before_anything_is_made() -> None:
    with pytest.raises(ShardError, match="count is 100; expected at least 192, a drop in every scene"):
        open_dataset("sionna-channels", count=100)


def test_it_is_built_split_and_verified(tmp_path: Path) -> None:
    pytest.importorskip("sionna.phy", reason="the extra sionna is not installed")
    dataset = open_dataset("sionna-channels", count=COUNT, seed=1)
    manifest = write_shards(dataset, tmp_path / "one")
    assert verify(tmp_path / "one") == []
    assert manifest.count == COUNT
    write_shards(dataset, tmp_path / "two", workers=2)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    assert {name for name in manifest.splits if name.startswith("scene-")} == {f"scene-{s.name}" for s in SCENES}
    out = manifest.splits["scene-rma-28ghz"]
    assert out["test"] == ["rma-28ghz/drop-00000"]
    assert "umi-3.5ghz/drop-00001" in out["train"]
    assert len(manifest.splits["scenario-uma"]["test"]) == 2
    assert len(manifest.splits["carrier-28ghz"]["test"]) == 3
    longer = open_dataset("sionna-channels", count=COUNT + USERS, seed=1)
    for (key, signal), (other, again) in zip(dataset.samples(), longer.samples(), strict=False):
        assert key == other
        np.testing.assert_array_equal(signal.values, again.values)
        assert (signal.values.shape, signal.labels) == ((1, 32, 32), again.labels)
        assert set(signal.labels) == set(dataset.tasks)


def test_users_in_sight_have_the_beam_that_points_to_them() -> None:
    pytest.importorskip("sionna.phy", reason="the extra sionna is not installed")
    found = drop_users(SCENES[0], 0)
    towards = np.arctan2(found.users_m[:, 1], found.users_m[:, 0]) - found.broadside
    beam = np.linspace(-60, 60, BEAMS)[best_beam(found.channel)]
    off = np.abs(beam - np.rad2deg(towards))
    assert np.median(off[found.in_sight]) < 2
    assert np.median(off[~found.in_sight]) > np.median(off[found.in_sight])
