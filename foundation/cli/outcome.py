"""How a command ends: every exception becomes one line on stderr and an exit status, and none is lost.

Statuses follow sysexits.h and the shell: 2 what the user can correct, 70 a defect of this project, 74 the system
refused to read or write, 128 + n stopped by signal n.
"""

from __future__ import annotations

import inspect
import os
import platform
import shlex
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from foundation import __version__
from foundation.errors import StoppedError, WfmError
from foundation.redaction import printable, published

USER, DEFECT, SYSTEM = 2, 70, 74


class TerminatedError(KeyboardInterrupt):
    """SIGTERM, raised where the command stands, so that partial files are removed on the way out."""


def run(command: Callable[[], None], words: Sequence[str], debug: bool) -> int:
    """Call a command and return its exit status.

    Args:
        words: the command line, for the report of a defect.
        debug: show the traceback of a defect instead of writing it to a file.
    """
    try:
        listen_to_sigterm()
        with warnings.catch_warnings():
            if not debug:
                warnings.showwarning = show_warning
            command()
        sys.stdout.flush()  # here, where a closed pipe can be told from a defect
    except SystemExit:  # of argparse, after --help
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            return closed_pipe()
        raise
    except StoppedError as stop:
        return ended(stop.status, str(stop))
    except WfmError as error:
        return ended(USER, str(error))
    except TerminatedError:
        return ended(128 + signal.SIGTERM, "terminated; run the same command again to continue.")
    except KeyboardInterrupt:
        return ended(128 + signal.SIGINT, "interrupted; run the same command again to continue.")
    except BrokenPipeError:
        return closed_pipe()
    except MemoryError:
        return ended(SYSTEM, "out of memory; take smaller batches or fewer samples, or a machine with more memory.")
    except OSError as error:
        if error.errno is None:
            return defect(error, words, debug)
        return ended(SYSTEM, system_sentence(error))
    except Exception as error:  # the last resort
        if type(error).__name__ == "SafetensorError" and "I/O error" in str(error):  # so that library tells a full disk
            reason = str(error).rpartition("I/O error: ")[2].lower()
            return ended(SYSTEM, f"{reason}; free space, then run the command again.")
        return defect(error, words, debug)
    return 0


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Print a warning of this project on one line; those of libraries, which a user cannot act on, need --debug."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") in (__name__, "warnings"):
        frame = frame.f_back
    if frame is not None and str(frame.f_globals.get("__name__")).startswith("foundation"):
        print(f"wfm: warning: {printable(' '.join(published(str(message)).split()))}", file=sys.stderr, flush=True)


def listen_to_sigterm() -> None:
    """Let SIGTERM end a command as Ctrl-C does; in worker processes it keeps its effect. Only in the main thread."""
    main = os.getpid()

    def on_term(number: int, frame: FrameType | None) -> None:
        if os.getpid() == main:
            raise TerminatedError
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    try:
        signal.signal(signal.SIGTERM, on_term)
    except ValueError:  # not the main thread: whoever called has handlers of his own
        return


def ended(status: int, sentence: str) -> int:
    """Print one line, in which terminal escapes and line breaks show as text, and return the status."""
    try:
        print(f"wfm: {printable(' '.join(published(sentence).split()))}", file=sys.stderr, flush=True)
    except OSError:  # nobody listens
        return status
    return status


def one_line(text: str) -> str:
    """A text as it may be printed: on one line, without credentials, with what a terminal would act upon escaped."""
    return printable(" ".join(published(text).split()))


def closed_pipe() -> int:
    """End as a program does whose reader has gone (`wfm runs | head`): quietly, with the status of SIGPIPE."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at the end
    return 128 + signal.SIGPIPE


def system_sentence(error: OSError) -> str:
    """What the operating system refused, and where."""
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{where}{(error.strerror or str(error)).lower()}; free or name another place, then run the command again."


def defect(error: BaseException, words: Sequence[str], debug: bool) -> int:
    """Say in one line that the error is ours, where its traceback is, and what to attach to a report."""
    text = "".join(traceback.format_exception(error))
    if debug or "SLURM_JOB_ID" in os.environ:  # the log of a job stays, the temporary files of its nodes do not
        print(published(text), file=sys.stderr)
        return ended(DEFECT, f"{type(error).__name__}: a defect of wfm; please report the traceback above.")
    kept = keep_traceback(text, words)
    place = f"the traceback is in {kept}" if kept else "repeat the command with --debug to see the traceback"
    what = f"{type(error).__name__} ({published(str(error)[:200])}): a defect of wfm, not of your input"
    return ended(DEFECT, f"{what}; {place}; please attach it to a report, with the command '{command_line(words)}'.")


def command_line(words: Sequence[str]) -> str:
    """The command as it may be published."""
    return str(published(shlex.join(["wfm", *words])))


def keep_traceback(text: str, words: Sequence[str]) -> Path | None:
    """Write a traceback into the folder for temporary files; None where that cannot be written."""
    about = f"{command_line(words)}\nwfm {__version__}, Python {platform.python_version()}, {platform.platform()}\n\n"
    try:
        number, name = tempfile.mkstemp(prefix="wfm-defect-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(about + "\n".join(published(line) for line in text.splitlines()) + "\n")
    except OSError:
        return None
    return Path(name)
