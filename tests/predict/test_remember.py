"""A model with a memory: which answers are whose, evidence, and mistakes in one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import foundation
from foundation.data.shards.corpus import read_part
from foundation.errors import CheckpointError, SignalError
from foundation.predict import NONE, Model
from foundation.signal import Signal


@pytest.fixture(scope="module")
def windows(shards_dir: Path) -> list[Signal]:
    return read_part(shards_dir, "room", "test")[:24]


@pytest.fixture
def model(activity: Path) -> Model:
    return foundation.load(adapter=activity)


def _noise(windows: list[Signal], seed: int = 0) -> list[Signal]:
    rng = np.random.default_rng(seed)
    return [
        w.with_(values=rng.standard_normal(w.values.shape).astype(np.complex64), clean=None, labels={}) for w in windows
    ]


def test_a_new_class_is_answered_by_the_memory_and_the_rest_by_the_head(model: Model, windows: list[Signal]) -> None:
    before = model.predict(windows)
    assert model.remember(_noise(windows[:12]), "noise", "kitchen") == 12
    after, new = model.predict(windows), model.predict(_noise(windows[:12], seed=1))
    near = [one for one in new if one.remembered]
    assert len(near) >= 8, "one in thirteen is a false alarm"
    assert {(one.label, one.outside) for one in near} == {("noise", False)}
    kept = [(a, b) for a, b in zip(before, after, strict=True) if not b.remembered]
    assert len(kept) > 12
    assert all((a.label, a.probability, a.distance) == (b.label, b.probability, b.distance) for a, b in kept)
    assert {len(one.probabilities or {}) for one in (*new, *after)} == {len(model.target.classes or ()) + 1}
    nearest = (new[0].nearest or ())[0]
    assert (nearest.label, nearest.recording) == ("noise", "kitchen")
    assert near[0].nearest is not None
    assert near[0].nearest[0].distance == near[0].distance
    assert model.forget("noise") == 12
    assert model.predict(windows) == before


def test_a_memory_alone_answers_or_says_none_of_these(windows: list[Signal]) -> None:
    model = foundation.load("wfm-small")
    names = [str(w.labels["activity"]) for w in windows]
    model.remember(windows, names)
    found = model.predict(windows)
    assert [one.nearest[0].label for one in found if one.nearest] == names, "each is nearest to itself"
    assert np.mean([one.label == name for one, name in zip(found, names, strict=True)]) > 0.5
    model.forget()
    model.remember(_noise(windows)[:12], "noise", "kitchen")
    strange = [one for one in model.predict(windows) if one.outside]
    assert len(strange) > 12
    assert {(one.label, one.probability) for one in strange} == {(NONE, None)}


def test_what_is_saved_is_loaded_with_the_adapter(
    activity: Path, windows: list[Signal], tmp_path: Path, model: Model
) -> None:
    folder = Path(shutil.copytree(activity, tmp_path / "copy"))
    model.remember(windows[:6], "here", false_alarms=0.2)
    model.save_memory(folder)
    again = foundation.load(adapter=folder)
    assert again.predict(windows) == model.predict(windows)
    assert again.about()["memory"]["examples"] == {"here": 6}
    assert again.about()["memory"]["false_alarms"] == pytest.approx(0.2)
    again.forget()
    again.save_memory(folder)
    assert foundation.load(adapter=folder).memory is None


def test_a_memory_of_its_own_folder(windows: list[Signal], tmp_path: Path, trained: Path) -> None:
    model = foundation.load("wfm-small")
    model.remember(windows[:3], ["a", "b", "b"])
    model.save_memory(tmp_path)
    assert foundation.load("wfm-small", memory=tmp_path).predict(windows) == model.predict(windows)
    with pytest.raises(CheckpointError, match="is of another pretrained model"):
        foundation.load(trained / "model", memory=tmp_path)
    with pytest.raises(CheckpointError, match=r"holds no memory\.safetensors; Model\.save_memory writes it"):
        foundation.load(memory=tmp_path / "none")


def test_mistakes_are_one_sentence(model: Model, windows: list[Signal], position: Path) -> None:
    with pytest.raises(SignalError, match="remember: no signals were given"):
        model.remember([], "a")
    with pytest.raises(SignalError, match="2 signals and 1 labels; give one for each"):
        model.remember(windows[:2], ["a"])
    with pytest.raises(SignalError, match="labels holds 3; expected text"):
        model.remember(windows[:1], [3])  # type: ignore[list-item]
    with pytest.raises(SignalError, match="is csi-amplitude, and the head was fitted to csi"):
        one = windows[0]
        model.remember(one.with_(values=np.abs(one.values), kind="csi-amplitude", is_real=True, clean=None), "a")
    with pytest.raises(SignalError, match="nothing is remembered"):
        model.forget("a")
    with pytest.raises(CheckpointError, match="predicts position as numbers; a memory has classes"):
        foundation.load(adapter=position).remember(windows, "a")
    assert model.memory is None
