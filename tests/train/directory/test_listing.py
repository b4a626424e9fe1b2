"""`wfm runs`: the state of runs that are finished, stopped, running, damaged or unreadable."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.tiny import environment, pretrain_recipe, wfm, write_recipe

from foundation.cli import main
from foundation.train.directory.heartbeat import FILE_NAME
from foundation.train.directory.listing import find_runs, look
from foundation.train.directory.listing_text import runs_text


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A finished run that the test may change."""
    return Path(shutil.copytree(trained, tmp_path / "runs" / "deep" / "one"))


def _stop(run: Path) -> None:
    (run / "checkpoints" / "final.ckpt").unlink()


def test_a_finished_run(run: Path) -> None:
    (state,) = find_runs([run.parents[1]])
    assert (state.name, state.path, state.state) == ("tiny", str(run), "finished")
    assert (state.step, state.steps) == (8, 8)
    assert state.loss is not None
    assert (state.checkpoint, state.checkpoint_step) == ("final.ckpt", 8)
    assert state.checkpoint_bytes == (run / "checkpoints" / "final.ckpt").stat().st_size
    assert state.problems == []
    assert not (run / FILE_NAME).exists(), "a finished run removes its heartbeat"


def test_the_loss_is_the_last_one_logged(run: Path) -> None:
    rows = (run / "logs" / "version_0" / "metrics.csv").read_text().splitlines()
    named = dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))
    assert look(run).loss == pytest.approx(float(named["loss"]))


def test_a_run_that_stopped_halfway(run: Path) -> None:
    _stop(run)
    (run / "logs").rename(run / "elsewhere")
    state = look(run)
    assert (state.state, state.step, state.checkpoint, state.checkpoint_step) == ("stopped", 6, "step=6.ckpt", 6)
    assert (state.loss, state.log_age_s) == (None, None)


def test_a_torn_checkpoint_is_named_and_the_one_before_is_taken(run: Path) -> None:
    _stop(run)
    path = run / "checkpoints" / "step=6.ckpt"
    path.write_bytes(path.read_bytes()[:-100])
    state = look(run)
    assert (state.checkpoint, state.checkpoint_step) == ("step=3.ckpt", 3)
    assert state.problems == ["checkpoints/step=6.ckpt is truncated"]


def test_a_copied_run_has_lost_its_times(run: Path) -> None:
    _stop(run)
    os.utime(run / "checkpoints" / "step=6.ckpt", (0, 0))
    assert look(run).checkpoint == "step=6.ckpt"


def test_a_torn_final_checkpoint_is_no_finished_run(run: Path) -> None:
    (run / "checkpoints" / "final.ckpt").write_bytes(b"PK")
    state = look(run)
    assert (state.state, state.checkpoint) == ("stopped", "step=6.ckpt")
    assert state.problems == ["checkpoints/final.ckpt is truncated"]


def test_a_zero_checkpoint_needs_its_parts(run: Path) -> None:
    whole = (run / "checkpoints" / "final.ckpt").read_bytes()
    _stop(run)
    folder = run / "checkpoints" / "final.ckpt" / "checkpoint"
    folder.mkdir(parents=True)
    assert look(run).state == "stopped"
    (folder / "mp_rank_00_model_states.pt").write_bytes(whole)
    (folder / "zero_pp_rank_0_mp_rank_00_optim_states.pt").write_bytes(whole)
    state = look(run)
    assert (state.state, state.checkpoint_bytes) == ("finished", 2 * len(whole))
    (folder / "zero_pp_rank_0_mp_rank_00_optim_states.pt").write_bytes(whole[:1000])
    assert look(run).state == "stopped"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("recipe.yaml", b"a: [", "recipe.yaml"),
        ("recipe.yaml", b"\xff\xfe\x00", "recipe.yaml"),
        ("recipe.yaml", b"just text", "recipe.yaml"),
        ("recipe.yaml", None, "recipe.yaml is missing"),
        ("logs/version_0/metrics.csv", b"", "metrics.csv"),
        ("logs/version_0/metrics.csv", b"\x00\x01\xff", "metrics.csv"),
        ("logs/version_0/metrics.csv", b"step,loss\n7,nan\n", "loss is nan at step 7"),
        (FILE_NAME, b"{", "Expecting"),
        (FILE_NAME, b'{"pid": 1}', FILE_NAME),
        (FILE_NAME, b'{"host": "a", "pid": "all", "begun": 1, "job": ""}', FILE_NAME),
    ],
)
def test_what_cannot_be_read_is_reported(
    file: str, content: bytes | None, said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _stop(run)
    if content is None:
        (run / file).unlink()
    else:
        (run / file).write_bytes(content)
    assert main(["runs", str(run)]) == 0
    assert said in capsys.readouterr().out
    assert main(["runs", str(run), "--json"]) == 0
    (state,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert any(said in problem for problem in state["problems"])


def test_a_row_that_is_being_written_is_left_out(run: Path) -> None:
    _stop(run)
    (run / "logs" / "version_0" / "metrics.csv").write_text("epoch,loss,step\n0,2.5,6\n,,7\n0,1.2")
    state = look(run)
    assert (state.step, state.loss, state.problems) == (7, 2.5, [])


def test_the_log_of_the_newest_start_counts(run: Path) -> None:
    _stop(run)
    for version, loss in ((2, "7.5"), (10, "3.5")):
        (run / "logs" / f"version_{version}").mkdir()
        (run / "logs" / f"version_{version}" / "metrics.csv").write_text(f"loss,step\n{loss},6\n")
    assert look(run).loss == 3.5


def test_a_run_is_running_until_it_is_killed(shards_dir: Path, tmp_path: Path) -> None:
    """A real run, killed without warning: running before, stopped after, and its heartbeat stays behind."""
    out = tmp_path / "run"
    config = write_recipe(tmp_path / "long.yaml", pretrain_recipe(shards_dir, out, steps=100_000))
    command = [sys.executable, "-m", "foundation.cli", "pretrain", "--config", str(config)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 240
            while not list((out / "checkpoints").glob("step=*.ckpt")):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
            alive = look(out)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert alive.state == "running"
    assert f"process {process.pid}" in alive.who
    assert 0 < alive.step < alive.steps == 100_000  # type: ignore[operator]
    assert look(out).state == "stopped"
    assert (out / FILE_NAME).exists()


def test_a_failed_run_removes_its_heartbeat(shards_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    recipe = pretrain_recipe(shards_dir, out, learning_rate=100, warmup_steps=0, steps=50, clip_norm=1e9)
    done = wfm("pretrain", "--config", write_recipe(tmp_path / "wild.yaml", recipe))
    assert done.returncode == 2
    assert "at step" in done.stderr
    assert not (out / FILE_NAME).exists()


def test_a_run_on_another_machine_is_not_judged(run: Path) -> None:
    _stop(run)
    (run / FILE_NAME).write_text(json.dumps({"host": "node17", "pid": 4, "begun": 5.0, "job": "812"}))
    state = look(run)
    assert (state.state, state.who) == ("elsewhere", "node17, process 4, job 812")
    assert "node17" in runs_text([state])


def test_nothing_is_changed_and_folders_without_runs_are_passed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / "shards").mkdir()
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "notes" / "recipe.yaml").write_text("name: a")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert len(find_runs([tmp_path / "runs"])) == 1
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*")}


def test_no_directory_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(tmp_path / "none")]) == 2
    assert "no such directory" in capsys.readouterr().err
    assert main(["runs", str(tmp_path)]) == 0
    assert "no runs here" in capsys.readouterr().out
