"""Suites: shares that sum up to the whole, one file and one page; tests between rows, and ranks over tasks."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from helpers.tiny import write_recipe
from scipy.stats import binomtest, f, friedmanchisquare

from foundation.cli import main
from foundation.config.suite import load_suite
from foundation.errors import RecipeError
from foundation.evaluate.fits import Bench
from foundation.evaluate.jobs import Runs
from foundation.evaluate.report import rank_plot
from foundation.evaluate.statistics.paired_test import difference, holm
from foundation.evaluate.statistics.ranks import Ranking, ranking
from foundation.evaluate.suite import Suite
from foundation.evaluate.task import blocks
from foundation.results.rows import load_rows

RECIPES = ROOT / "recipes"


@pytest.fixture(scope="module")
def suite(trained: Path, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks on the same windows: what a person does, and where."""
    folder = tmp_path_factory.mktemp("suite")
    task = {"shards": str(shards_dir), "label": "activity", "split": "room"}
    fields: dict[str, Any] = {"name": "tiny", "set": "simulated", "checkpoint": str(trained / "model"), "task": task}
    write_recipe(folder / "activity.yaml", fields | {"baselines": [{"features": "doppler"}]})
    where = {"set": "simulated, position", "task": task | {"label": "position"}, "baselines": [{"method": "knn"}]}
    write_recipe(folder / "position.yaml", fields | where)
    overrides = [
        "modes=[baseline, untrained, probe, knn]",
        "fractions=[0.2]",
        "seeds=[0, 1]",
        f"cache={folder / 'fits'}",
    ]
    tasks = [{"recipe": "activity.yaml", "overrides": ["align=coral"]}, {"recipe": "position.yaml"}]
    return write_recipe(folder / "suite.yaml", {"name": "two tasks", "overrides": overrides, "tasks": tasks})


def test_shares_are_disjoint_and_a_last_call_merges_them(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    outcome = Bench.outcome
    monkeypatch.setattr(
        Bench, "outcome", lambda bench, job: done.append((bench.recipe.set, job)) or outcome(bench, job)
    )
    command = ["evaluate", "--suite", str(suite)]
    assert main([*command, "--dry-run"]) == 0
    assert "16 fits: wfm evaluate --config" in capsys.readouterr().out
    assert main([*command, "--array", "0/2"]) == 0
    first = len(done)
    assert f"its {first} fits are done, {24 - first} of all are left; run the other shares" in capsys.readouterr().out
    assert main([*command, "--array", "1/2"]) == 0
    assert "0 of all are left; the same command without --array" in capsys.readouterr().out
    assert 8 <= first <= 16
    assert len(done) == len(set(done)) == 24
    monkeypatch.setattr(Bench, "outcome", lambda *_: pytest.fail("everything is there already"))
    assert main([*command, "--json", str(tmp_path / "out.json"), "--html", str(tmp_path / "out.html")]) == 0
    rows = load_rows(tmp_path / "out.json")
    assert {row.set for row in rows} == {"simulated", "simulated, position"}
    assert {row.mode for row in rows} == {"baseline", "untrained", "probe", "knn"} | {
        f"{mode}+coral" for mode in ("baseline", "untrained", "probe", "knn")
    }
    assert all(row.command.startswith("wfm evaluate --config") and "fractions=[0.2]" in row.command for row in rows)
    raw = json.loads((tmp_path / "out.json").read_text())
    assert {(test["set"], test["first"], test["second"]) for test in raw["tests"]} == {
        (name, "probe", other)
        for name in ("simulated", "simulated, position")
        for other in ("untrained", "first baseline")
    }
    (ranks,) = raw["ranks"]
    assert set(ranks["average"]) == {"first baseline", "untrained", "probe", "knn"}, "no row with target data is ranked"
    assert sum(ranks["average"].values()) == pytest.approx(1 + 2 + 3 + 4)
    page = (tmp_path / "out.html").read_text()
    for section in ("two tasks", "Average ranks", "Paired tests", "With unlabelled test recordings", "Commands"):
        assert section in page


def test_a_suite_that_cannot_be_meant_is_refused(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = write_recipe(tmp_path / "wrong.yaml", {"name": "x", "tasks": [{"recipes": "a.yaml"}]})
    assert main(["evaluate", "--suite", str(wrong)]) == 2
    assert "unknown key 'tasks.0.recipes'; did you mean 'recipe'?" in capsys.readouterr().err
    twice = [{"recipe": str(suite.parent / "activity.yaml")}] * 2
    with pytest.raises(RecipeError, match="would both have rows named simulated, room; give one"):
        Suite.load(write_recipe(tmp_path / "twice.yaml", {"name": "x", "tasks": twice}))
    assert main(["evaluate", "--suite", str(suite), "--array", "2/2"]) == 2
    assert "numbered from 0 to 1" in capsys.readouterr().err
    assert main(["evaluate", "--config", str(suite), "--array", "0/2"]) == 2
    assert "--array shares the fits of a suite" in capsys.readouterr().err


def test_the_published_suite_resolves_and_no_two_tasks_share_a_name() -> None:
    _, entries = load_suite(RECIPES / "suite.yaml")
    names = {(each.recipe.set, each.recipe.part_name(part)) for each in entries for part in each.recipe.task.tests}
    assert len(names) == len(entries) + 3, "four test parts of the stability set, one of every other task"
    assert {set_ for set_, _ in names} >= {"radhar", "ble-rss-fingerprints", "polyu-csi-ips", "uwb-cirs-2018"}


def _runs(correct: np.ndarray, block: np.ndarray | None = None) -> Runs:
    """Answers [seeds, n] that are right or wrong as told; the truth is 1 everywhere."""
    n = correct.shape[1]
    return Runs(np.ones(n, int), np.arange(n) if block is None else block, dict(enumerate(correct.astype(int))))


def test_the_command_of_a_task_says_each_thing_once() -> None:
    _, (first, *_) = load_suite(RECIPES / "suite.yaml", ["checkpoint=wfm-small", "align=none", "seeds=[3]"])
    words = shlex.split(first.command)[4:]
    assert len({word.partition("=")[0] for word in words}) == len(words)
    assert {"checkpoint=wfm-small", "align=none", "seeds=[3]", "decoder=false"} <= set(words)
    assert (first.recipe.checkpoint, first.recipe.align, first.recipe.seeds) == ("wfm-small", "none", [3])
    inside = ["baselines=[{method: svm}, {method: knn}]", "baselines.1.features=level", "baselines=[{method: kernel}]"]
    _, (first, *_) = load_suite(RECIPES / "suite.yaml", inside)
    assert [baseline.method for baseline in first.recipe.baselines] == ["kernel"]


def test_one_seed_and_single_samples_are_the_exact_mcnemar_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((1, 60)) < 0.8, rng.random((1, 60)) < 0.6
    only = int((first & ~second).sum()), int((second & ~first).sum())
    found = difference(_runs(first), _runs(second))
    exact = binomtest(min(only), sum(only), 0.5).pvalue
    assert found.mean == pytest.approx((only[0] - only[1]) / 60)
    assert found.low < found.mean < found.high
    assert found.p == pytest.approx(exact, abs=0.01)
    few = difference(_runs(first[:, :15]), _runs(second[:, :15]))
    only = int((first & ~second)[:, :15].sum()), int((second & ~first)[:, :15].sum())
    assert few.p == pytest.approx(binomtest(min(only), sum(only), 0.5).pvalue)


def test_samples_recorded_together_count_once_and_seeds_are_averaged() -> None:
    first, second = np.ones((3, 60), bool), np.zeros((2, 60), bool)
    second[:, 30:] = True
    together = np.arange(60) // 10
    alone, blocked = (
        difference(_runs(first), _runs(second)),
        difference(_runs(first, together), _runs(second, together)),
    )
    assert alone.mean == blocked.mean == 0.5
    assert alone.p < 0.001
    assert (blocked.p, blocked.blocks) == (2 / 2**3, 6), "three recordings that differ"
    half = second.copy()
    half[0, :30] = True
    assert difference(_runs(first), _runs(half)).mean == 0.25
    with pytest.raises(ValueError, match="same samples"):
        difference(_runs(first), _runs(second, together))


def test_blocks_are_recordings_of_one_class_and_stretches_of_a_drive() -> None:
    from helpers.signals import make_signal

    signals = [make_signal(0).with_(session=name) for name in "aabbb" for _ in range(5)]
    truth = np.tile([0, 0, 0, 1, 1], 5)
    np.testing.assert_array_equal(blocks(signals, truth)[:10], [0, 0, 0, 1, 1] * 2)
    assert blocks(signals, truth)[10:].min() == 2
    found = blocks(signals, np.zeros((25, 2)))
    np.testing.assert_array_equal(found[:10], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    assert len(np.unique(found)) == 3 + 4


def test_holm_adjusts_as_published() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def _ranked(table: np.ndarray, **changes: bool) -> Ranking:
    scores = {f"t{i}": {f"m{j}": float(x) for j, x in enumerate(row)} for i, row in enumerate(table)}
    found = ranking(scores, {name: changes.get(name, True) for name in scores})
    assert found is not None
    return found


def test_ranks_agree_with_scipy_and_the_critical_difference_with_demsar() -> None:
    table = np.round(np.random.default_rng(1).random((14, 4)) + 0.3 * np.arange(4), 1)  # with ties
    found = _ranked(table)
    chi = friedmanchisquare(*table.T).statistic
    assert found.p == pytest.approx(f.sf(13 * chi / (14 * 3 - chi), 3, 39))
    assert found.critical == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), rel=1e-3)  # his table 5
    assert list(found.average) == sorted(found.average)
    assert found.names[0] == "m3"


def test_ranks_follow_the_direction_of_a_task_and_what_all_tasks_have() -> None:
    scores = {"accuracy": {"a": 0.9, "b": 0.5, "c": 0.1}, "metres": {"a": 1.0, "b": 2.0}}
    found = ranking(scores, {"accuracy": True, "metres": False})
    assert found is not None
    assert (found.names, list(found.average)) == (("a", "b"), [1.0, 2.0])
    assert found.p is None
    assert found.critical is None
    assert ranking({"x": {"a": 1.0}, "y": {"b": 1.0}}, {"x": True, "y": True}) is None


def test_the_diagram_joins_exactly_what_cannot_be_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(rank_plot, "to_png", lambda figure: figures.append(figure) or b"")
    ranks = np.tile(np.array([1.0, 2.0, 4.0, 3.0]), (12, 1))
    shown = Ranking(("a", "b", "c", "d"), tuple("t" * 12), ranks[:, [0, 1, 3, 2]], 0.0, 1.5)
    rank_plot.critical_difference(shown)
    (axes,) = figures[0].axes
    bars = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 4]
    assert [(round(low), round(high)) for low, high in bars] == [(1, 2), (2, 3), (3, 4)]
    texts = [text.get_text().strip() for text in axes.texts]
    assert {"a  1.00", "b  2.00", "3.00  c", "4.00  d", "critical difference 1.50"} <= set(texts)


def test_a_leaderboard_compares_checkpoints_over_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"set": "s", "mode": "probe", "fraction": 1.0, "seeds": 1, "n": 9, "command": ""}

    def row(method: str, split: str, metric: str, mean: float) -> dict[str, Any]:
        return fields | {"method": method, "split": split, "metric": metric, "mean": mean, "low": mean, "high": mean}

    ours = [row("tiny", "A", "accuracy", 0.8), row("tiny", "B", "mean_error_m", 1.0), row("tiny", "C", "accuracy", 0.1)]
    theirs = [row("tiny", "A", "accuracy", 0.7), row("tiny", "B", "mean_error_m", 2.0)]
    (tmp_path / "ours.json").write_text(json.dumps(ours))
    (tmp_path / "theirs.json").write_text(json.dumps({"rows": theirs, "tests": []}))
    command = ["evaluate", "--leaderboard", str(tmp_path / "ours.json"), str(tmp_path / "theirs.json")]
    assert main([*command, "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    for cell in ("tiny (ours)", "80.0 (1)", "70.0 (2)", "1.00 (1)", "2.00 (2)"):
        assert cell in page
    assert "s, C" not in page, "a task that one of them lacks"
    assert "mode probe" in capsys.readouterr().out
    (tmp_path / "again").mkdir()
    (tmp_path / "again/ours.json").write_text(json.dumps(theirs))
    same = [*command[:-1], str(tmp_path / "again/ours.json")]
    assert main([*same, "--html", str(tmp_path / "same.html")]) == 0
    assert "tiny (again/ours)" in (tmp_path / "same.html").read_text(), "files of one name stay apart"
    capsys.readouterr()
    assert main(command[:-1]) == 2
    assert "no two checkpoints" in capsys.readouterr().err
    assert main([*command, "--json", "x.json"]) == 2
