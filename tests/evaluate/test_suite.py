"""Suites: shares that add up to the whole, one file of rows and one page, leaderboards."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT
from helpers.tiny import write_recipe

from foundation.cli import main
from foundation.config.suite import load_suite
from foundation.errors import RecipeError
from foundation.evaluate.fits import Bench
from foundation.evaluate.suite import Suite
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
    assert len(names) == len(entries) + 10, "four parts of stability, six months of the library, three ranges of SNR"
    assert {set_ for set_, _ in names} >= {"radhar", "ble-rss-fingerprints", "polyu-csi-ips", "uwb-cirs-2018"}


def test_the_command_of_a_task_says_each_thing_once() -> None:
    _, (first, *_) = load_suite(RECIPES / "suite.yaml", ["checkpoint=wfm-small", "align=none", "seeds=[3]"])
    words = shlex.split(first.command)[4:]
    assert len({word.partition("=")[0] for word in words}) == len(words)
    assert {"checkpoint=wfm-small", "align=none", "seeds=[3]", "decoder=false"} <= set(words)
    assert (first.recipe.checkpoint, first.recipe.align, first.recipe.seeds) == ("wfm-small", [], [3])
    inside = ["baselines=[{method: svm}, {method: knn}]", "baselines.1.features=level", "baselines=[{method: kernel}]"]
    _, (first, *_) = load_suite(RECIPES / "suite.yaml", inside)
    assert [baseline.method for baseline in first.recipe.baselines] == ["kernel"]


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
