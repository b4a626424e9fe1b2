"""Spike detection: finds spikes, raises no false alarms, and has no effect on training."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import pretrain_recipe

from foundation.train import module
from foundation.train.callbacks.spikes import WARM_UP, WINDOW, SpikeDetector
from foundation.train.pretrain import pretrain

BAD = 50  # the step whose learning rate is absurd


def _noisy(count: int, seed: int = 0) -> np.ndarray:
    """A falling loss with the scatter of real ones, a quarter of whose steps are harder than the others."""
    rng = np.random.default_rng(seed)
    return (
        (1 + 3 * np.exp(-np.arange(count) / 300))
        * np.exp(0.2 * rng.standard_normal(count))
        * np.where(rng.random(count) < 0.25, 1.6, 1.0)
    )


@pytest.mark.parametrize("seed", range(5))
def test_scatter_is_no_spike(seed: int) -> None:
    detector = SpikeDetector()
    assert [value for value in _noisy(2000, seed) if detector.update(value) is not None] == []


def test_a_spike_is_told_with_the_median_and_hides_no_other() -> None:
    detector, series = SpikeDetector(), _noisy(300)
    for value in series:
        detector.update(value)
    for _ in range(3):
        median = detector.update(60.0)
        assert median is not None
        assert median == pytest.approx(np.median(series[-WINDOW:]), rel=0.05)
    assert detector.update(series[-1]) is None


def test_nothing_is_called_a_spike_before_enough_was_seen() -> None:
    detector = SpikeDetector()
    assert [detector.update(value) for value in [1.0] * (WARM_UP - 2) + [1e6]] == [None] * (WARM_UP - 1)
    assert detector.update(1.0) is None
    assert detector.update(1e6) == pytest.approx(1.0)


def test_a_level_that_stays_is_no_spike_for_ever() -> None:
    detector = SpikeDetector()
    spikes = [detector.update(value) is not None for value in [*_noisy(200), *(_noisy(200) * 50)]]
    assert spikes[200]
    assert not any(spikes[200 + WINDOW // 2 + 20 :])


@pytest.mark.parametrize("is_bad", [False, True], ids=["sound", "absurd rate"])
def test_a_run_logs_and_says_its_spikes_and_goes_on(
    is_bad: bool, shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = module.rate
    monkeypatch.setattr(module, "rate", lambda step, *rest: 3e3 if is_bad and step == BAD else plain(step, *rest))
    pretrain(pretrain_recipe(shards_dir, tmp_path / "run", steps=80, log_every=8, checkpoint_every=80))
    with (tmp_path / "run" / "logs" / "version_0" / "metrics.csv").open() as file:
        found = list(csv.DictReader(file))
    rows = {int(row["step"]): [float(row["loss_spikes"]), float(row["gradient_spikes"])] for row in found}
    said = [line for line in capsys.readouterr().out.splitlines() if "times the median" in line]
    assert sorted(rows) == list(range(7, 80, 8))
    assert sum(sum(row) for step, row in rows.items() if step < BAD) == 0
    later = np.sum([row for step, row in rows.items() if step > BAD], axis=0)
    assert (later > 0).tolist() == [is_bad, is_bad]
    assert len(said) == 2 * is_bad, "once for the loss and once for the gradient, however many followed"
    if is_bad:
        assert said[0].startswith(f"step {BAD + 1}: loss is ")
        assert "lower train.learning_rate" in said[0]
