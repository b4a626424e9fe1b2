"""Find pretraining runs below directories and report their state. Reads files only: nothing is loaded or changed."""

from __future__ import annotations

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
from foundation.train.directory.heartbeat import is_running, read_heartbeat
from foundation.train.directory.history import last_values, log_files


@dataclass
class RunState:
    """State of one run. Ages are in seconds, sizes in bytes; None means not known.

    Attributes:
        state: finished; running (its process runs on this machine); stopped (it does not); elsewhere (started on
            another machine, which cannot be queried from here); unknown (the heartbeat cannot be read).
        who: host, process and job from the heartbeat.
        checkpoint: the newest intact checkpoint.
        problems: files that are truncated or unreadable.
    """

    name: str
    path: str
    state: str
    who: str = ""
    step: int = 0
    steps: int | None = None
    loss: float | None = None
    held_out: float | None = None
    held_out_mean: float | None = None
    log_age_s: float | None = None
    checkpoint: str | None = None
    checkpoint_step: int | None = None
    checkpoint_age_s: float | None = None
    checkpoint_bytes: int | None = None
    problems: list[str] = field(default_factory=list)


def find_runs(directories: Sequence[Path]) -> list[RunState]:
    """Runs in and below the directories, sorted by path; links are not followed.

    Raises:
        WfmError: no such directory.
    """
    found: dict[Path, RunState] = {}
    for directory in directories:
        if not directory.is_dir():
            raise WfmError(f"{directory}: no such directory; 'wfm pretrain' makes runs where its recipe's out= says.")
        unreadable: list[OSError] = []
        for folder, children, files in os.walk(directory, onerror=unreadable.append):
            inside = {"checkpoints", "logs"} & set(children)
            if inside and ("recipe.yaml" in files or next(Path(folder, "checkpoints").glob("*.ckpt"), None)):
                found[Path(folder)] = look(Path(folder))
                children.clear()  # a run directory contains no other runs
        for error in unreadable:
            path = Path(str(error.filename))
            found[path] = RunState(path.name, str(path), "unknown", problems=[str(error.strerror)])
    return [found[path] for path in sorted(found)]


def look(directory: Path) -> RunState:
    """State of the run in a directory. Never raises: what cannot be read is listed in `problems`."""
    run = RunState(directory.name, str(directory), "stopped")
    for part in (_recipe, _checkpoint, _log, _state):
        try:
            part(directory, run)
        except (OSError, ValueError, yaml.YAMLError) as error:
            run.problems.append(" ".join(str(error).split())[:200])
    return run


def _recipe(directory: Path, run: RunState) -> None:
    """Name and steps; not validated, because `load_recipe` refuses recipes of older versions."""
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
            run.problems.append(f"{FOLDER}/{path.name} is truncated")
        elif run.checkpoint is None:
            run.checkpoint = path.name
            run.checkpoint_step = run.steps if path.name == FINAL else step_of(path)
            run.checkpoint_age_s = max(0.0, time.time() - _written(path))
            run.checkpoint_bytes = sum(file.stat().st_size for file in files_of(path))
    run.step = run.checkpoint_step or 0


def _written(path: Path) -> float:
    return max((file.stat().st_mtime for file in files_of(path)), default=path.lstat().st_mtime)


def _log(directory: Path, run: RunState) -> None:
    """Step and loss of the newest row of all logs."""
    for path in reversed(log_files(directory)):
        if run.log_age_s is None:
            run.log_age_s = max(0.0, time.time() - path.stat().st_mtime)
        last = last_values(path, "loss")
        if last is not None:
            step, (loss,) = last
            run.step = max(run.step, step + 1)  # rows count from 0
            if math.isfinite(loss):
                run.loss = loss
            else:
                run.problems.append(f"loss is {loss} at step {step}")
            if (held_out := last_values(path, "held_out", "held_out_mean")) is not None:
                run.held_out, run.held_out_mean = held_out[1]
            return
        run.problems.append(f"{path.relative_to(directory)} holds no row with a step and a loss")


def _state(directory: Path, run: RunState) -> None:
    if run.checkpoint == FINAL:
        run.state = "finished"
        return
    run.state = "unknown"
    heartbeat = read_heartbeat(directory)
    if heartbeat is None:
        run.state = "stopped"
        return
    run.who = f"{heartbeat.host}, process {heartbeat.pid}" + (f", job {heartbeat.job}" if heartbeat.job else "")
    run.state = {True: "running", False: "stopped", None: "elsewhere"}[is_running(heartbeat)]
