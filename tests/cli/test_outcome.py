"""How commands end: a sentence and an exit status for every error, and no traceback that is lost."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.tiny import environment

from foundation.cli import main, outcome
from foundation.errors import RecipeError, StoppedError

DRY_RUN = ["pretrain", "--config", "recipes/quickstart.yaml"]
WFM = [sys.executable, "-m", "foundation.cli"]


def _raise(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RecipeError("a.yaml: no."), 2, "a.yaml: no."),
        (OSError(errno.ENOSPC, "No space left on device", "/out"), 74, "/out: no space left on device;"),
        (OSError(errno.EROFS, "Read-only file system", "/out"), 74, "/out: read-only file system;"),
        (MemoryError(), 74, "out of memory;"),
        (KeyboardInterrupt(), 130, "interrupted;"),
        (outcome.TerminatedError(), 143, "terminated;"),
        (StoppedError("run: stopped.", signal.SIGTERM), 143, "run: stopped."),
        (StoppedError("run: stopped.", signal.SIGUSR1, requeued=True), 0, "run: stopped."),
    ],
)
def test_every_error_has_its_sentence_and_status(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome.run(_raise(error), ["runs"], debug=False) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"wfm: {said}")


def test_a_defect_is_one_line_and_its_traceback_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    words = ["pretrain", "data.shards=https://me:secret@host/shards"]
    error = ZeroDivisionError("https://me:secret@host/shards?key=secret")
    assert outcome.run(_raise(error), words, debug=False) == 70
    (line,) = capsys.readouterr().err.splitlines()
    (kept,) = tmp_path.iterdir()
    assert line.startswith("wfm: ZeroDivisionError (https:")
    assert ": a defect of wfm, not of your input;" in line
    assert str(kept) in line
    text = kept.read_text()
    assert "Traceback" in text and "ZeroDivisionError" in text and "wfm pretrain" in text
    assert "secret" not in text + line
    assert outcome.run(_raise(error), words, debug=True) == 70
    assert "Traceback" in capsys.readouterr().err


def test_terminal_escapes_and_line_breaks_are_printed_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    outcome.run(_raise(RecipeError("a\x1b[31mb\r\nc\udcff \u202e[/x]: no.")), [], debug=False)
    assert capsys.readouterr().err == "wfm: a\\x1b[31mb c\\udcff \\u202e[/x]: no.\n"


@pytest.mark.parametrize("words", [["--help"], ["shards", "--help"], [*DRY_RUN, "--dry-run"]])
def test_a_closed_pipe_ends_quietly(words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*WFM, *words],
        stdout=write,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED=""),
        cwd=ROOT,
        timeout=120,
    )
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pretrian"], "did you mean 'pretrain'?"),
        (["shards", "bild"], "did you mean 'build'?"),
        (["finetune", "--config", "a.yaml", "--steps", "5"], "--steps is a key of the recipe; write tune.steps=5."),
        (["pretrain", "--config", "a.yaml", "--hidden-size=64"], "write model.hidden_size=64."),
        (["pretrain", "--config", "a.yaml", "--dry"], "did you mean '--dry-run'?"),
        (["runs", "a", "--jsn"], "did you mean '--json'?"),
    ],
)
def test_a_mistyped_word_names_the_nearest(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_keys_may_stand_before_and_after_options(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pretrain", "seed=3", "--config", "recipes/quickstart.yaml", "train.steps=7", "--dry-run", "name=mine"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert re.search(r"^name: mine$", told, re.M)
    assert re.search(r"^seed: 3$", told, re.M)
    assert re.search(r"^  steps: 7$", told, re.M)


def test_sigterm_ends_a_command_with_a_sentence(tmp_path: Path) -> None:
    code = "import sys, time\nfrom foundation.cli import outcome\n"
    code += "sys.exit(outcome.run(lambda: (print('on', flush=True), time.sleep(60)), ['runs'], False))"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "on\n"
    child.terminate()
    _, told = child.communicate(timeout=60)
    assert (child.returncode, told) == (143, "wfm: terminated; run the same command again to continue.\n")


def test_our_warnings_are_one_line_and_those_of_libraries_are_not_shown() -> None:
    code = "import sys, warnings\nfrom foundation.cli import outcome\n"
    code += "ours = compile('import warnings; warnings.warn(\"a\\\\x1b[3\\\\nb\", stacklevel=2)', 'x', 'exec')\n"
    code += "def command():\n    warnings.warn('of a library')\n    exec(ours, {'__name__': 'foundation.readers'})\n"
    code += "sys.exit(outcome.run(command, [], '--debug' in sys.argv))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == "wfm: warning: a\\x1b[3 b\n"
    done = subprocess.run([sys.executable, "-c", code, "--debug"], capture_output=True, text=True, timeout=60)
    assert "of a library" in done.stderr
