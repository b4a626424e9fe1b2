"""`foundation.load`: predictions of recordings, features, and mistakes in one sentence each."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.intel5300 import intel_record, random_csi, written

import foundation
from foundation.adapt import held_out_folds, load_adapter, pooled_features, predict
from foundation.adapt.calibration import FILE
from foundation.adapt.novelty import POOLINGS, Novelty
from foundation.checkpoints.load import load_encoder
from foundation.data.labelled import TokenSet
from foundation.data.origins import origins
from foundation.data.shards.corpus import read_part
from foundation.errors import CheckpointError, SignalError
from foundation.predict import Model
from foundation.signal import Signal


@pytest.fixture(scope="module")
def model(activity: Path) -> Model:
    return foundation.load(adapter=activity)


@pytest.fixture(scope="module")
def windows(shards_dir: Path) -> list[Signal]:
    return read_part(shards_dir, "room", "test")[:12]


def test_the_answers_are_those_of_the_adapter(model: Model, windows: list[Signal], activity: Path) -> None:
    encoder = load_encoder(json.loads((activity / "task.json").read_text())["base"])
    expected = predict(load_adapter(activity, encoder).model, TokenSet(windows, encoder.config))
    found = model.predict(windows)
    classes = model.target.classes or ()
    assert [one.label for one in found] == [classes[k] for k in expected.argmax(1)]
    assert [one.signal for one in found] == list(range(12))
    known = model._fitted().calibration
    assert known is not None
    assert known.temperature is not None
    chances = torch.softmax(torch.from_numpy(expected).double() / known.temperature, 1).numpy()
    assert np.allclose([list((one.probabilities or {}).values()) for one in found], chances)
    assert all(one.outside == (one.distance > known.novelty.limit) for one in found if one.distance)


def test_a_recording_is_cut_as_the_training_windows_were(model: Model, windows: list[Signal]) -> None:
    one = windows[0]
    times = np.arange(3 * 128) * one.interval_s
    values, valid = (np.concatenate([getattr(w, name) for w in windows[:3]]) for name in ("values", "valid"))
    recording = one.with_(values=values, valid=valid, clean=None, time_s=times)
    found = model.predict(recording)
    assert [each.start_s for each in found] == pytest.approx([0.0, 1.28, 2.56])
    alone = model.predict([window.with_(carrier_hz=one.carrier_hz) for window in windows[:3]])
    assert np.allclose([each.probability for each in found], [each.probability for each in alone], atol=1e-4)
    assert len(model.predict(recording, hop_s=0.64)) == 5


def test_noise_is_marked_and_a_room_that_was_not_trained_on_is_not(shards_dir: Path, windows: list[Signal]) -> None:
    """By the released encoder: one that was trained for eight steps does not know noise from a room."""
    rng = np.random.default_rng(0)
    noise = [w.with_(values=rng.standard_normal(w.values.shape).astype(np.complex64), clean=None) for w in windows]
    train = read_part(shards_dir, "room", "train")
    encoder = load_encoder("wfm-small")
    known, new, strange = (
        pooled_features(encoder, TokenSet(part, encoder.config), POOLINGS) for part in (train, windows, noise)
    )
    novelty = Novelty.fitted(known, held_out_folds(np.zeros((len(train), 1)), origins(train), 0).rows, 0)
    assert novelty.limit is not None
    assert np.mean(novelty.distance(strange) > novelty.limit) > 0.9
    assert np.mean(novelty.distance(new) > novelty.limit) < 0.2


def test_positions_have_a_region(position: Path, shards_dir: Path) -> None:
    places = [s for s in read_part(shards_dir, "room", "test") if "position" in s.labels]
    found = foundation.load(adapter=position).predict(places)
    truth = np.array([signal.labels["position"] for signal in places])
    distance = np.linalg.norm(np.array([one.value for one in found]) - truth, axis=1)
    assert found[0].label is None
    assert found[0].radius is not None
    assert 0.75 < np.mean(distance <= found[0].radius) <= 1, "of nine in ten"


def test_features_of_any_pooling(model: Model, trained: Path, windows: list[Signal]) -> None:
    plain = foundation.load(trained / "model")
    for pooling, length in (("moments", 6 * 32), ("context", 2 * 32), ("moments+context", 8 * 32)):
        found = plain.embed(windows, pooling)
        assert (found.dtype, found.shape) == (np.float32, (12, length))
    assert not np.allclose(model.embed(windows), plain.embed(windows)), "the adapter changes the features"
    mixed = [windows[0], windows[1].part(links=slice(0, 1))]
    assert plain.embed(mixed).shape == (2, 6 * 32)
    with pytest.raises(SignalError, match=r"no pooling 'columns' here \(the signals differ in shape"):
        plain.embed(mixed, "columns")
    with pytest.raises(SignalError, match="no pooling 'mean' here; possible: moments, context"):
        plain.embed(windows, "mean")
    with pytest.raises(SignalError, match="no signals were given"):
        plain.embed([])


def test_without_an_adapter_there_is_nothing_to_predict(trained: Path, windows: list[Signal]) -> None:
    with pytest.raises(CheckpointError, match="no adapter, and so nothing to predict; fit one with 'wfm finetune'"):
        foundation.load(trained / "model").predict(windows)


def test_another_kind_and_too_short_a_recording_are_refused(model: Model, windows: list[Signal]) -> None:
    one = windows[0]
    with pytest.raises(SignalError, match="is csi-amplitude, and the head was fitted to csi"):
        model.predict(one.with_(values=np.abs(one.values), kind="csi-amplitude", is_real=True, clean=None))
    with pytest.raises(SignalError, match=r"has 100 times in 0\.99 s, fewer than one window of 128 samples"):
        model.predict(one.window(0, 100))
    with pytest.warns(UserWarning, match="1 of 2 signals are left out: .* fewer than one window"):
        assert len(model.predict([one.window(0, 100), one])) == 1
    with pytest.raises(SignalError, match="no signals were given"):
        model.predict([])


@pytest.mark.parametrize("name", ["no/where/at/all", "x\0", "wfm-small"])
def test_a_missing_adapter_is_one_sentence(name: str) -> None:
    with pytest.raises(CheckpointError, match="no such folder of an adapter; give one that 'wfm finetune' wrote"):
        foundation.load(adapter=name)


def test_a_base_that_was_moved_is_named(activity: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(activity, tmp_path / "copy"))
    task = json.loads((folder / "task.json").read_text())
    base, task["base"] = task["base"], str(tmp_path / "gone")
    (folder / "task.json").write_text(json.dumps(task))
    with pytest.raises(CheckpointError, match=r"the model that it was fitted to is not to be had .* \(--base\)"):
        foundation.load(adapter=folder)
    assert foundation.load(base, folder).target.label == "activity"


def test_an_adapter_of_an_earlier_version_still_answers(activity: Path, windows: list[Signal], tmp_path: Path) -> None:
    """It lacks the file of calibration, and what windows it was fitted to."""
    folder = Path(shutil.copytree(activity, tmp_path / "copy"))
    (folder / FILE).unlink()
    task = json.loads((folder / "task.json").read_text())
    del task["signals"]["window"]
    (folder / "task.json").write_text(json.dumps(task))
    old = foundation.load(adapter=folder)
    with pytest.warns(UserWarning, match="does not say how its training windows were cut"):
        found = old.predict(windows)
    assert [one.label for one in found] == [one.label for one in foundation.load(adapter=activity).predict(windows)]
    assert {(one.outside, one.distance) for one in found} == {(None, None)}


def test_a_capture_of_another_shape_and_rate_is_answered(activity: Path, tmp_path: Path) -> None:
    """An Intel 5300 at 1,000 packets a second; the adapter was fitted to windows of 100 a second."""
    capture = written(tmp_path / "a.dat", *(intel_record(random_csi(i, rx=1), 1000 * i) for i in range(3000)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another shape than that of the training windows
        found = foundation.load(adapter=activity).predict(foundation.read(capture))
    assert [one.start_s for one in found] == pytest.approx([0.0, 1.28])
    assert all(one.outside is not None for one in found)
