"""Describe the jobs of each command, with every recipe checked before a job is queued."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.cluster.render import TEMPLATES, Options, render
from foundation.config import EvaluateRecipe, FinetuneRecipe, PretrainRecipe, load_recipe
from foundation.config.suite import load_suite
from foundation.errors import ClusterError
from foundation.redaction import published

WFM = [sys.executable, "-m", "foundation.cli"]  # the same environment on every node, whatever its PATH
PREFIX = "wfm-"  # of all job names


@dataclass(frozen=True)
class Job:
    """A script for sbatch. `log` is its output file, with SLURM's %j, or %A and %a in an array."""

    name: str
    script: str
    log: Path


def pretrain_job(
    config: Path,
    overrides: Sequence[str],
    options: Options,
    *,
    nodes: int | None = None,
    margin: int = 120,
    template: Path | None = None,
) -> Job:
    """`wfm pretrain` with one task per device. `nodes` and `options.gpus` replace train.nodes and train.devices.

    Args:
        margin: seconds before the time limit at which it saves a checkpoint and requeues itself.

    Raises:
        RecipeError: the recipe would be refused on the nodes as well.
        ClusterError: the template or a value cannot be used.
    """
    given = {"train.nodes": nodes, "train.devices": options.gpus}
    words = [*overrides, *(f"{key}={value}" for key, value in given.items() if value is not None)]
    recipe = load_recipe(config, PretrainRecipe, words)
    train = recipe.train
    values = {
        "nodes": str(train.nodes),
        "tasks": str(train.devices),
        "margin": str(margin),
        "command": _wfm("pretrain", "--config", str(config), *words),
    }
    gpus = 0 if train.accelerator == "cpu" else train.devices
    return _job("pretrain", recipe.name, template or TEMPLATES / "pretrain.sbatch", options, gpus, values)


def finetune_job(
    configs: Sequence[Path],
    domains: Sequence[tuple[str, Sequence[str]]],
    overrides: Sequence[str],
    options: Options,
    *,
    template: Path | None = None,
) -> Job:
    """An array of `wfm finetune`, one task for each recipe and domain.

    Args:
        configs: the tasks, a recipe each.
        domains: (name, overrides), such as `task.shards=DIR`. The adapter of a domain is saved into `out`/name;
            without domains, into `out`.

    Raises:
        RecipeError: a recipe would be refused on the nodes as well.
        ClusterError: two adapters would share a folder, or all exist already.
    """
    runs: dict[Path, str] = {}
    used = False
    for config in configs:
        for domain, changes in domains or [("", ())]:
            words = [*overrides, *changes]
            recipe = load_recipe(config, FinetuneRecipe, words)
            used |= recipe.device != "cpu"
            out = recipe.out / domain
            if out in runs:
                raise ClusterError(f"{config}: another adapter would be saved into {out}, too; set another out=.")
            runs[out] = _wfm("finetune", "--config", str(config), *words, f"out={out}")
    todo = [command for out, command in runs.items() if not out.exists()]
    if not todo:
        raise ClusterError(f"all {len(runs)} adapters exist already, such as {next(iter(runs))}; nothing to do.")
    cases = "\n".join(f"{number}) {command} ;;" for number, command in enumerate(todo))
    values = {"last": str(len(todo) - 1), "cases": cases}
    name = "-".join(config.stem for config in configs)
    gpus = _gpus(options, used=used)
    return _job("finetune", name, template or TEMPLATES / "finetune.sbatch", options, gpus, values)


def evaluate_job(
    config: Path,
    overrides: Sequence[str],
    options: Options,
    *,
    json: Path | None = None,
    html: Path | None = None,
    template: Path | None = None,
) -> Job:
    """`wfm evaluate` in one job.

    Raises:
        RecipeError: the recipe would be refused on the node, too.
        ClusterError: the template or a value cannot be used.
    """
    recipe = load_recipe(config, EvaluateRecipe, overrides)
    values = {"command": _wfm("evaluate", "--config", str(config), *overrides, *_outputs(json, html))}
    gpus = _gpus(options, used=recipe.uses_gpu)
    return _job("evaluate", recipe.name, template or TEMPLATES / "evaluate.sbatch", options, gpus, values)


def suite_jobs(
    path: Path,
    overrides: Sequence[str],
    parts: int,
    options: Options,
    *,
    json: Path | None = None,
    html: Path | None = None,
    template: Path | None = None,
) -> tuple[Job, Job]:
    """An array of `parts` jobs that share the fits of a suite, and a last job that merges them when all have succeeded.

    Raises:
        RecipeError: the suite would be refused on the node, too.
        ClusterError: the template or a value cannot be used.
    """
    suite, entries = load_suite(path, overrides)
    run = _wfm("evaluate", "--suite", str(path), *overrides)
    values = {"last": str(parts - 1), "parts": str(parts), "command": run}
    gpus = _gpus(options, used=any(entry.recipe.uses_gpu for entry in entries))
    array = _job("suite", suite.name, template or TEMPLATES / "shares.sbatch", options, gpus, values)
    merge = {"command": f"{run} {shlex.join(_outputs(json, html))}"}
    return array, _job("merge", suite.name, TEMPLATES / "merge.sbatch", options, 0, merge)


def _outputs(json: Path | None, html: Path | None) -> list[str]:
    return [f"--{name}={path}" for name, path in (("json", json), ("html", html)) if path is not None]


def shards_jobs(
    name: str, out: Path, build: Sequence[str], parts: int, options: Options, *, template: Path | None = None
) -> tuple[Job, Job]:
    """An array of `parts` jobs that build shards, and a last job that merges them when all have succeeded.

    Args:
        build: all arguments of `wfm shards build`, including `name` and `out`.
    """
    values = {"last": str(parts - 1), "parts": str(parts), "command": _wfm("shards", "build", *build)}
    gpus = options.gpus or 0
    array = _job("shards", name, template or TEMPLATES / "shards.sbatch", options, gpus, values)
    merge = {"command": _wfm("shards", "merge", str(out))}
    return array, _job("merge", name, TEMPLATES / "merge.sbatch", options, 0, merge)


def _job(kind: str, name: str, template: Path, options: Options, gpus: int, values: dict[str, str]) -> Job:
    name = re.sub(r"[^\w.-]+", "-", f"{PREFIX}{kind}-{name}")
    script = render(template, options, gpus, {"name": name, **values})
    numbers = "%A_%a" if "last" in values else "%j"
    return Job(name, script, options.logs / f"{name}-{numbers}.out")


def _wfm(*words: str) -> str:
    if secret := next((word for word in words if published(word) != word), None):
        raise ClusterError(
            f"{secret}: a job's command is logged and seen by all, so no address in it may hold a user, a key or a "
            "query; put credentials into ~/.netrc or the environment."
        )
    return shlex.join([*WFM, *words])


def _gpus(options: Options, *, used: bool) -> int:
    """GPUs of a job that computes in one process: none where none is used, else one unless more are asked for."""
    if not used:
        return 0
    return 1 if options.gpus is None else options.gpus
