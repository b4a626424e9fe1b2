"""Scripts for SLURM, without SLURM: what they say, what is refused before it waits in a queue, and no sbatch."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.tiny import environment

from foundation.cli import main
from foundation.cluster import Options
from foundation.cluster.render import TEMPLATES, render
from foundation.errors import ClusterError

RECIPES = ROOT / "recipes"


def script(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """What `wfm slurm submit ARGS --dry-run` prints: bash has to understand it."""
    assert main(["slurm", "submit", args[0], "--dry-run", *map(str, args[1:])]) == 0
    text = capsys.readouterr().out
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""
    assert "{{" not in text
    return text


def test_pretraining_has_one_task_per_gpu_and_a_recipe_that_knows(capsys: pytest.CaptureFixture[str]) -> None:
    config = RECIPES / "pretrain" / "base.yaml"
    asked = ("--nodes", 4, "--gpus", 2, "--account", "radio", "--sbatch", "qos=long", "--margin", 300)
    lines = script(capsys, "pretrain", *asked, "--config", config, "train.steps=50").splitlines()
    directives = {line for line in lines if line.startswith("#SBATCH")}
    wanted = ("nodes=4", "ntasks-per-node=2", "gres=gpu:2", "account=radio", "qos=long", "signal=USR1@300", "requeue")
    assert {f"#SBATCH --{option}" for option in wanted} <= directives
    assert lines[-1].startswith("srun --kill-on-bad-exit=1 ")
    assert lines[-1].endswith(f"pretrain --config {config} train.steps=50 train.nodes=4 train.devices=2")


def test_nothing_is_asked_for_that_nobody_set(capsys: pytest.CaptureFixture[str]) -> None:
    text = script(capsys, "pretrain", "--config", RECIPES / "quickstart.yaml", "train.accelerator=cpu")
    assert not any(f"--{option}" in text for option in ("gres", "account", "partition", "mem"))


@pytest.mark.parametrize(
    ("job", "gpus"),
    [
        (("pretrain", "--config", RECIPES / "quickstart.yaml"), 1),
        (("pretrain", "--config", RECIPES / "quickstart.yaml", "train.accelerator=cuda:0"), 1),
        (("finetune", "--config", RECIPES / "finetune" / "activity.yaml"), 1),
        (("finetune", "--gpus", 2, "--config", RECIPES / "finetune" / "activity.yaml"), 2),
        (("finetune", "--gpus", 2, "device=cpu", "--config", RECIPES / "finetune" / "activity.yaml"), 0),
        (("evaluate", "--config", RECIPES / "evaluate" / "quickstart.yaml"), 1),
        (("evaluate", "--config", RECIPES / "evaluate" / "quickstart.yaml", "device=cpu"), 0),
        (("evaluate", "--config", RECIPES / "evaluate" / "quickstart.yaml", "modes=[baseline]"), 0),
        (("evaluate", "--suite", RECIPES / "suite.yaml"), 1),
        (("evaluate", "--suite", RECIPES / "suite.yaml", "device=cpu"), 0),
        (("shards", "--parts", 2, "simulated", "--out", "runs/x"), 0),
    ],
)
def test_a_gpu_is_asked_for_only_where_it_has_work(
    job: tuple[object, ...], gpus: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script(capsys, *job).count("gres=gpu:") == (gpus > 0)
    if gpus:
        assert f"#SBATCH --gres=gpu:{gpus}\n" in script(capsys, *job)


def test_fine_tuning_is_an_array_of_tasks_times_domains(capsys: pytest.CaptureFixture[str]) -> None:
    configs = [RECIPES / "finetune" / f"{name}.yaml" for name in ("activity", "localization")]
    domains = ("--domain", "home", "task.shards=runs/my home", "--domain", "office", "task.shards=runs/office")
    text = script(capsys, "finetune", "--config", *configs, *domains)
    assert "#SBATCH --array=0-3" in text
    for number, out in enumerate(("activity/home", "activity/office", "localization/home", "localization/office")):
        case = next(line for line in text.splitlines() if line.startswith(f"{number}) "))
        assert case.endswith(f"out=runs/finetune/{out} ;;")
        assert ("'task.shards=runs/my home'" in case) == out.endswith("home")


def test_two_adapters_never_share_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    config = str(RECIPES / "finetune" / "activity.yaml")
    assert main(["slurm", "submit", "finetune", "--dry-run", "--config", config, config]) == 2
    assert "runs/finetune/activity, too" in capsys.readouterr().err


def test_shards_are_an_array_and_a_merge(capsys: pytest.CaptureFixture[str]) -> None:
    text = script(capsys, "shards", "--parts", 16, "simulated", "--out", "runs/x", "--workers", 2)
    assert "#SBATCH --array=0-15" in text
    assert 'shards build simulated --out runs/x --workers 2 --array "$SLURM_ARRAY_TASK_ID/16"' in text
    assert text.rstrip().endswith("shards merge runs/x")


def test_a_suite_is_an_array_of_shares_and_a_last_call(capsys: pytest.CaptureFixture[str]) -> None:
    suite = RECIPES / "suite.yaml"
    words = ("--suite", suite, "--parts", 4, "--json", "out.json", "workers=2", "tune.steps=9")
    text = script(capsys, "evaluate", *words)
    assert "#SBATCH --array=0-3" in text
    called = f"evaluate --suite {suite} workers=2 tune.steps=9"
    assert f'{called} --array "$SLURM_ARRAY_TASK_ID/4"' in text
    assert text.rstrip().endswith(f"{called} --json=out.json")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["evaluate", "--suite", "suite.yaml", "tune.stepz=3"], "did you mean 'steps'"),
        (["pretrain", "--config", "quickstart.yaml", "train.stepz=3"], "did you mean 'steps'"),
        (["pretrain", "--config", "quickstart.yaml", "--account", "a b"], "remove white space"),
        (["pretrain", "--config", "quickstart.yaml", "--template", "none.sbatch"], "no such template"),
    ],
)
def test_what_would_fail_on_the_nodes_is_refused_here(
    args: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(RECIPES)
    assert main(["slurm", "submit", *args, "--dry-run"]) == 2
    assert sentence in capsys.readouterr().err


def test_arguments_of_a_build_are_checked_before_it_waits(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["slurm", "submit", "shards", "--parts", "2", "--dry-run", "simulated", "--count", "40"])
    assert "--out" in capsys.readouterr().err


def test_a_template_with_a_placeholder_nobody_knows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.sbatch").write_text("#SBATCH --time={{time}} --signal=USR1@9 %j $HOME {{wall}}\n")
    with pytest.raises(ClusterError, match=r"unknown placeholder \{\{wall\}\}"):
        render(tmp_path / "mine.sbatch", Options(), 0, {})


def test_no_template_writes_its_environment_into_a_log() -> None:
    tells = re.compile(r"^\s*(env|printenv|export -p|declare)\s*$|\bset\s+-\w*x|\bxtrace\b|sh\s+-\w*x", re.MULTILINE)
    for line in ("set -eux", "  printenv", "set -o xtrace", "bash -x run.sh"):
        assert tells.search(line), "the check must be one that can fail"
    templates = list(TEMPLATES.glob("*.sbatch"))
    assert templates
    for template in templates:
        assert not tells.search(template.read_text()), template


@pytest.mark.parametrize("action", [["submit", "pretrain"], ["status"], ["cancel", "1"]])
def test_no_slurm_is_one_sentence(
    action: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    config = ["--config", str(RECIPES / "quickstart.yaml"), "--logs", str(tmp_path)] if action[0] == "submit" else []
    assert main(["slurm", *action, *config]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("wfm: s")
    assert "is not on the PATH" in sentence


@pytest.mark.parametrize(
    ("job", "asked", "told"),
    [("", "1", "killed"), ("1", "", "killed"), ("1", "1", f"told {int(signal.SIGUSR1)}, torch False")],
)
def test_a_signal_is_heard_before_torch_is_loaded_in_a_job_that_asks(job: str, asked: str, told: str) -> None:
    code = """
import os, signal, sys
from foundation.train.callbacks.stop_signals import listen, told_to_stop
listen()
os.kill(os.getpid(), signal.SIGUSR1)
print(f"told {told_to_stop()}, torch {'torch' in sys.modules}")
"""
    given = {name: value for name, value in (("SLURM_JOB_ID", job), ("WFM_REQUEUE", asked)) if value}
    env = {name: value for name, value in environment().items() if not name.startswith(("SLURM", "WFM"))} | given
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip() or {-signal.SIGUSR1: "killed"}[done.returncode]) == told
