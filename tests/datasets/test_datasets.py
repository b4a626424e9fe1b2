"""Every data set: its name opens it, its counts and labels are those published, and its splits cut no session."""

from __future__ import annotations

import itertools
import pickle
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from foundation.data.shards.spec import Dataset, split_problems
from foundation.data.shards.verify import verify
from foundation.data.shards.write import write_shards
from foundation.datasets import DATASETS, open_dataset
from foundation.errors import ShardError
from foundation.signal import Signal

#: What the files of some sets do not hold.
NUMBERS = {
    "wifo": {"carrier_hz": 1.5e9, "spacing_hz": 90e3, "interval_s": 1e-3},
    "contrawimae": {"carrier_hz": 3.5e9, "bandwidth_hz": 20e6},
}


def _counts(samples: list[tuple[str, Signal]], parts: dict[str, list[str]]) -> dict[str, int]:
    sessions = Counter(signal.session for _, signal in samples)
    return {part: sum(sessions[session] for session in members) for part, members in parts.items()}


def _check_order(dataset: Dataset, samples: list[tuple[str, Signal]]) -> None:
    """What the writer demands of a data set, checked without writing it."""
    pickle.dumps(dataset.pieces)  # workers read them
    keys = [key for key, _ in samples]
    assert keys == sorted(set(keys))
    runs = [session for session, _ in itertools.groupby(signal.session for _, signal in samples)]
    assert len(runs) == len(set(runs))
    assert all(set(signal.labels) <= set(dataset.tasks) for _, signal in samples)
    assert all(signal.source and signal.licence == dataset.licence for _, signal in samples)


def test_unknown_names_and_options_are_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="did you mean 'simulated'"):
        open_dataset("simulate")
    with pytest.raises(ShardError, match="did you mean 'count'"):
        open_dataset("simulated", conut=3)
    with pytest.raises(ShardError, match="needs the option 'count'"):
        open_dataset("simulated")
    for name in sorted(name for name in DATASETS if not name.startswith(("simulated", "sionna"))):
        with pytest.raises(ShardError, match=rf"{name}: no .* under .*; download the set from https://"):
            open_dataset(name, raw=tmp_path, **NUMBERS.get(name, {}))


def test_simulated_is_written_and_split(tmp_path: Path) -> None:
    dataset = open_dataset("simulated", count=320, seed=3)
    pickle.dumps(dataset.pieces)  # workers read them
    manifest = write_shards(dataset, tmp_path, shard_bytes=8_000_000)
    assert verify(tmp_path) == []
    assert (manifest.count, manifest.summary.clean, manifest.parameters) == (320, 320, {"count": 320, "seed": 3})
    assert len(manifest.shards) > 2
    assert sum(manifest.summary.parts["room"].values()) == 320
    first = [signal.values for _, signal in itertools.islice(open_dataset("simulated", count=320, seed=4).samples(), 1)]
    assert not np.array_equal(first[0], next(iter(dataset.samples()))[1].values)


@pytest.mark.parametrize(
    ("name", "count", "split"), [("simulated-modulation", 660, "channel"), ("simulated-transmitters", 1920, "day")]
)
def test_simulated_iq_is_written_and_split(tmp_path: Path, name: str, count: int, split: str) -> None:
    dataset = open_dataset(name, count=count, seed=3)
    pickle.dumps(dataset.pieces)  # workers read them
    manifest = write_shards(dataset, tmp_path)
    assert verify(tmp_path) == []
    assert (manifest.count, manifest.summary.clean) == (count, count)
    assert all(manifest.summary.parts[split].values())


@pytest.mark.real
def test_stability_csi_har(data_root: Path, tmp_path: Path) -> None:
    dataset = open_dataset("stability-csi-har", raw=data_root / "stability-csi-har")
    samples = list(dataset.samples())
    _check_order(dataset, samples)
    splits = dataset.splits()
    assert split_problems(splits, {signal.session for _, signal in samples}) == []
    expected = {"train": 404, "test-D1E": 101, "test-D2": 104, "test-D3": 102, "test-D4": 98}
    assert _counts(samples, splits["drift"]) == expected
    assert len({signal.labels["activity"] for _, signal in samples}) == 10
    raw = np.load(data_root / "stability-csi-har/03_WINDOWED/D2/e01_tx_rx-x.npy", allow_pickle=False)
    signal = dict(samples)["D2-e01_tx_rx-0002"]
    np.testing.assert_array_equal(signal.values[:, 0, :].real, raw[2].T.astype(np.float32))
    assert write_shards(dataset, tmp_path).summary.parts["drift"] == expected
    assert verify(tmp_path) == []


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:.*dropped .* packets:UserWarning", "ignore:.*the clock stands still:UserWarning")
def test_polyu_csi_ips(data_root: Path) -> None:
    dataset = open_dataset("polyu-csi-ips", raw=data_root / "polyu-csi-ips")
    samples = list(dataset.samples())
    _check_order(dataset, samples)
    assert len({key[:11] for key, _ in samples}) == 1000
    assert {signal.values.shape for _, signal in samples} == {(10, 6, 30)}
    assert Counter(key[8:11] for key, _ in samples) == Counter(signal.labels["location"] for _, signal in samples)
    splits = dataset.splits()
    assert split_problems(splits, {signal.session for _, signal in samples}) == []
    periods = {
        split: {part: len({k[:7] for k, s in samples if s.session in names}) for part, names in parts.items()}
        for split, parts in splits.items()
    }
    # the sums that the authors give in the last row of datasetSummary.csv; rest leaves out d23b, whose day A tests
    assert periods == {
        "A": {"train": 77, "valid": 8, "test": 13, "rest": 25},
        "B": {"train": 80, "valid": 27, "test": 18, "rest": 0},
        "C": {"train": 8, "test": 10, "rest": 107},
    }
    for parts in splits.values():
        days = [day for names in parts.values() for day in {name[:3] for name in names}]
        assert len(days) == len(set(days)), "a day may not be on two sides of a split"


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:.*skipped .* frames:UserWarning")
def test_uwb_cirs_2018(data_root: Path, tmp_path: Path) -> None:
    raw = data_root / "uwb-cirs-2018"
    whole = open_dataset("uwb-cirs-2018", raw=raw)
    splits = whole.splits()
    assert split_problems(splits) == []
    tests = [session for parts in splits.values() for session in parts["test"]]
    assert (len(splits), len(tests), len(set(tests))) == (6, 36, 36)
    assert all(len(parts["train"]) + len(parts["test"]) == 36 for parts in splits.values())

    logs = {"1": "LOS", "3": "NDP-NLOS", "6": "NLOS"}
    (tmp_path / "results").mkdir()
    for name in ["labels.csv", "anchors.csv", "tags.csv", "pairs.csv", *(f"{log}.log.gz" for log in logs)]:
        shutil.copy(raw / "results" / name, tmp_path / "results" / name)
    dataset = open_dataset("uwb-cirs-2018", raw=tmp_path)
    samples = list(dataset.samples())
    _check_order(dataset, samples)
    assert Counter(signal.session for _, signal in samples) == {"log01": 252, "log03": 278, "log06": 108}
    assert all(signal.labels["visibility"] == logs[str(int(signal.session[3:]))] for _, signal in samples)
    # anchor 1 at (7.76, 8.1), tag 1 at (7.87, 5.61)
    assert samples[0][1].labels["distance"] == pytest.approx(np.hypot(0.11, 2.49))
    assert {signal.values.shape for _, signal in samples} == {(1, 1, 160)}
    first = samples[0][1]
    assert first.response[16] == 0
    power = np.mean([np.abs(signal.values[0, 0]) ** 2 for _, signal in samples if signal.session == "log01"], axis=0)
    assert power[16:].max() > 20 * power[:8].mean(), (
        "with line of sight the first path stands out of the noise before it"
    )

    for classes in splits.values():
        held_out = Counter(_visibility(raw)[session] for session in classes["test"])
        assert set(held_out) == {"LOS", "NLOS", "NDP-NLOS"}, "each fold tests every class"


def _visibility(raw: Path) -> dict[str, str]:
    rows = [line.split(",") for line in (raw / "results/labels.csv").read_text().splitlines()[1:]]
    return {f"log{int(number):02d}": label.replace(" ", "-") for number, label in rows}
