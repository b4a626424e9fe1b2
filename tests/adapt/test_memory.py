"""The memory of labelled windows: answers, false alarms as promised, and files that are read as written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from foundation.adapt.memory import FILE, Example, Memory
from foundation.data.seen import Seen
from foundation.errors import CheckpointError, SignalError

SEEN = Seen(kinds=["csi"], times=(8, 8), grids=[(1, 4)], carriers_hz=None)
CENTRES = 3 * np.random.default_rng(1).standard_normal((3, 40))


def _features(codes: np.ndarray, rng: np.random.Generator, spread: float = 1.0) -> np.ndarray:
    return (CENTRES[codes] + spread * rng.standard_normal((len(codes), 40))).astype(np.float32)


def _examples(codes: np.ndarray, recording: str = "a") -> list[Example]:
    return [Example(label="xyz"[c], recording=recording, start_s=k, end_s=k + 1) for k, c in enumerate(codes)]


def _memory(count: int = 10, classes: int = 2, rate: float = 0.1, seed: int = 0) -> Memory:
    codes = np.arange(classes).repeat(count)
    return Memory(_features(codes, np.random.default_rng(seed)), tuple(_examples(codes)), "base", SEEN, rate)


def test_a_window_is_what_its_nearest_examples_are() -> None:
    memory, codes = _memory(), np.arange(2).repeat(50)
    found = memory.answer(_features(codes, np.random.default_rng(5)))
    assert np.array_equal(found.probabilities.argmax(1), codes)
    assert np.allclose(found.probabilities.sum(1), 1)
    assert (np.diff(found.away, axis=1) >= 0).all()
    assert all("xyz"[code] == memory.examples[k].label for code, k in zip(codes, found.nearest[:, 0], strict=True))
    assert np.allclose(found.distance, found.away[:, 0])


def test_an_example_is_nearest_to_itself() -> None:
    memory = _memory()
    found = memory.answer(memory.features)
    assert np.array_equal(found.nearest[:, 0], np.arange(20))
    assert np.allclose(found.distance, 0, atol=1e-6)


def test_the_rate_of_false_alarms_is_as_set_and_another_class_is_told() -> None:
    alarms, told = [], []
    for seed in range(40):
        rng, memory = np.random.default_rng(100 + seed), _memory(15, rate=0.1, seed=seed)
        alarms.append(memory.answer(_features(np.arange(2).repeat(50), rng)).is_none.mean())
        told.append(memory.answer(_features(np.full(50, 2), rng)).is_none.mean())
    assert np.mean(alarms) <= 0.1 + 0.02, "its mean over memories; 0.02 is chance of 40 of them"
    assert np.mean(told) > 0.9


def test_few_examples_have_a_higher_rate_and_one_has_none() -> None:
    memory = _memory(2, rate=0.05)
    assert memory.attained == pytest.approx(1 / 5)
    assert memory.limit is not None
    one = _memory(1)
    assert one.limit is None, "one example is left, which has no scale"
    assert not one.answer(CENTRES.astype(np.float32)).is_none.any()


def test_a_recording_is_left_out_as_a_whole_where_a_label_has_several() -> None:
    """Windows of one recording are near one another; a new recording is not, and is no false alarm by that."""
    rng, codes = np.random.default_rng(0), np.zeros(10, np.int64)
    where = [2 * rng.standard_normal(40) for _ in range(5)]
    parts = [(_features(codes, rng, 0.1) + place).astype(np.float32) for place in where]
    each = Memory(parts[0], tuple(_examples(codes, "a")), "base", SEEN, 0.2)
    for name, part in zip("bcd", parts[1:4], strict=True):
        each = each.add(part, _examples(codes, name), 0.2)
    assert not each.answer(parts[4]).is_none.any()
    together = Memory(
        each.features, tuple(e.model_copy(update={"recording": "a"}) for e in each.examples), "b", SEEN, 0.2
    )
    assert together.answer(parts[4]).is_none.all()


def test_examples_are_added_replaced_and_removed() -> None:
    memory = _memory(3)
    more = memory.add(_features(np.full(4, 2), np.random.default_rng(3)), _examples(np.full(4, 2), "b"), 0.2)
    assert (more.classes, len(more.examples), more.false_alarms) == (("x", "y", "z"), 10, 0.2)
    again = more.add(more.features[:3], more.examples[:3], 0.2)
    assert len(again.examples) == 10, "the same windows once more"
    assert again.remove(label="z") is not None
    left = more.remove(recording="a")
    assert left is not None
    assert left.classes == ("z",)
    assert left.remove() is None
    with pytest.raises(SignalError, match="no example of 'walk' is remembered; there are labels x, y, z"):
        more.remove("walk")
    with pytest.raises(SignalError, match="no example of 'x' of 'b'"):
        more.remove("x", "b")


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(SignalError, match="expected one between 0 and 1"):
        _memory(rate=rate)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    memory, features = _memory(), _features(np.arange(3), np.random.default_rng(9))
    assert Memory.load(tmp_path, "base") is None
    memory.save(tmp_path)
    loaded = Memory.load(tmp_path, "base")
    assert loaded is not None
    for first, second in zip(memory.answer(features), loaded.answer(features), strict=True):
        assert np.array_equal(first, second)
    assert loaded.examples == memory.examples
    with pytest.raises(CheckpointError, match="is of another pretrained model"):
        Memory.load(tmp_path, "other")


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / FILE
    _memory().save(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(CheckpointError, match=r"memory.safetensors: is not what .* writes"):
        Memory.load(tmp_path, "base")
    save_file({"features": torch.zeros(3, 2)}, path)
    with pytest.raises(CheckpointError, match="is not what"):
        Memory.load(tmp_path, "base")
    header = {"memory": _header(tmp_path, whole)}
    save_file({"features": torch.zeros(3, 2)}, path, header)
    with pytest.raises(CheckpointError, match="expected a row for each example"):
        Memory.load(tmp_path, "base")
    save_file({"features": torch.full((20, 40), torch.nan)}, path, header)
    with pytest.raises(CheckpointError, match="finite"):
        Memory.load(tmp_path, "base")


def _header(folder: Path, whole: bytes) -> str:
    import safetensors

    (folder / "whole").write_bytes(whole)
    with safetensors.safe_open(folder / "whole", "pt") as file:
        return str(file.metadata()["memory"])
