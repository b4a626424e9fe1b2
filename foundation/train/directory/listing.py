"""`find_runs(directories)`: every pretraining run below, as far as its files tell. Nothing is loaded or changed."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from foundation.checkpoints.integrity import files_of, integrity_problem
from foundation.checkpoints.layout import FINAL, FOLDER, numbered, step_of
from foundation.errors import WfmError
from foundation.train.directory.heartbeat import lives, read_mark

TAIL = 1 << 16  # bytes at the end of a log that are read


@dataclass
class RunState:
    """One run. Ages in seconds, sizes in bytes, None: not known.

    state: finished; running (its process lives on this machine); stopped (it does not); elsewhere (started on another
        machine, which cannot be asked from here); unknown (its mark cannot be read).
    who: host, process and job of a run that has a mark.
    checkpoint: the newest whole one; its step is known from the names beside it.
    problems: what is torn or unreadable.
    """

    name: str
    path: str
    state: str
    who: str = ""
    step: int = 0
    steps: int | None = None
    loss: float | None = None
    log_age_s: float | None = None
    checkpoint: str | None = None
    checkpoint_step: int | None = None
    checkpoint_age_s: float | None = None
    checkpoint_bytes: int | None = None
    problems: list[str] = field(default_factory=list)


def find_runs(directories: Sequence[Path]) -> list[RunState]:
    """Runs at and below the directories, by path; links are not followed.

    Raises:
        WfmError: no such directory.
    """
    found: dict[Path, RunState] = {}
    for directory in directories:
        if not directory.is_dir():
            raise WfmError(f"{directory}: no such directory; 'wfm pretrain' makes runs where its recipe's out= says.")
        closed: list[OSError] = []
        for folder, children, files in os.walk(directory, onerror=closed.append):
            inside = {"checkpoints", "logs"} & set(children)
            if inside and ("recipe.yaml" in files or next(Path(folder, "checkpoints").glob("*.ckpt"), None)):
                found[Path(folder)] = look(Path(folder))
                children.clear()  # a run holds no runs
        for error in closed:
            path = Path(str(error.filename))
            found[path] = RunState(path.name, str(path), "unknown", problems=[str(error.strerror)])
    return [found[path] for path in sorted(found)]


def look(directory: Path) -> RunState:
    """What is known of the run in a directory. Never raises for what is in it."""
    run = RunState(directory.name, str(directory), "stopped")
    for part in (_recipe, _checkpoint, _log, _state):
        try:
            part(directory, run)
        except (OSError, ValueError, yaml.YAMLError) as error:
            run.problems.append(" ".join(str(error).split())[:200])
    return run


def _recipe(directory: Path, run: RunState) -> None:
    """Name and steps; leniently, since a recipe of an older version is none that `load_recipe` would take."""
    try:
        recipe = yaml.safe_load((directory / "recipe.yaml").read_text())
        run.name, run.steps = str(recipe["name"]), int(recipe["train"]["steps"])
    except FileNotFoundError:
        run.problems.append("recipe.yaml is missing")
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        run.problems.append(f"recipe.yaml cannot be read: {type(error).__name__} {' '.join(str(error).split())[:100]}")


def _checkpoint(directory: Path, run: RunState) -> None:
    folder = directory / FOLDER
    for path in [*folder.glob(FINAL), *numbered(folder)]:
        if integrity_problem(path, thorough=False):
            run.problems.append(f"{FOLDER}/{path.name} is torn")
        elif run.checkpoint is None:
            run.checkpoint = path.name
            run.checkpoint_step = run.steps if path.name == FINAL else step_of(path)
            run.checkpoint_age_s = max(0.0, time.time() - _written(path))
            run.checkpoint_bytes = sum(file.stat().st_size for file in files_of(path))
    run.step = run.checkpoint_step or 0


def _written(path: Path) -> float:
    return max((file.stat().st_mtime for file in files_of(path)), default=path.lstat().st_mtime)


def _log(directory: Path, run: RunState) -> None:
    """Step and loss of the newest row; a run has one log for each of its starts."""
    logs = [(int(number), path) for path in (directory / "logs").glob("version_*/metrics.csv")
            if (number := path.parent.name.removeprefix("version_")).isdecimal()]  # fmt: skip
    for _, path in sorted(logs, reverse=True):
        if run.log_age_s is None:
            run.log_age_s = max(0.0, time.time() - path.stat().st_mtime)
        last = _last_row(path)
        if last is not None:
            step, loss = last
            run.step = max(run.step, step + 1)  # rows count from 0
            if math.isfinite(loss):
                run.loss = loss
            else:
                run.problems.append(f"loss is {loss} at step {step}")
            return
        run.problems.append(f"{path.relative_to(directory)} holds no row with a step and a loss")


def _last_row(path: Path) -> tuple[int, float] | None:
    """(step, loss) of the last row that has both; a row that is still being written has not."""
    with path.open("rb") as file:
        head = file.readline().decode(errors="replace").strip().split(",")
        file.seek(max(file.tell(), path.stat().st_size - TAIL))
        lines = file.read().decode(errors="replace").replace("\0", "").splitlines(keepends=True)
    for row in reversed(list(csv.reader(line for line in lines if line.endswith("\n")))):
        cells = dict(zip(head, row, strict=False))
        try:
            return int(cells["step"]), float(cells["loss"])
        except (KeyError, ValueError):
            continue
    return None


def _state(directory: Path, run: RunState) -> None:
    if run.checkpoint == FINAL:
        run.state = "finished"
        return
    run.state = "unknown"
    mark = read_mark(directory)
    if mark is None:
        run.state = "stopped"
        return
    run.who = f"{mark.host}, process {mark.pid}" + (f", job {mark.job}" if mark.job else "")
    run.state = {True: "running", False: "stopped", None: "elsewhere"}[lives(mark)]
