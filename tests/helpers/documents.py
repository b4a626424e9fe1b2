"""Code blocks of Markdown documents, and a shell that runs them: bash is bash, `wfm` and Python run in this process.

A block with `title="FILE"` is written as that file. A block with `no_run="why"` is not executed: every command of it is
only parsed, with `--dry-run` where the command has one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "shards" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
#: Programs of a block that reach this process, in place of the real ones.
PROGRAMS = ("wfm", "python", "make", "sbatch", "pytest", "apt-get", "pip")
#: Connects a program of a block to `Shell`: sends its arguments, prints the answer, exits with its status.
CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect({address!r})
    link.sendall(json.dumps([{program!r}, os.getcwd(), *sys.argv[1:]]).encode() + b"\\n")
    status, text = json.loads(link.makefile().readline())
print(text, end="")
sys.exit(status)
"""
Run = Callable[[list[str]], int]


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its language, its text, and the options of its fence."""

    document: Path
    line: int
    language: str
    text: str
    title: str
    no_run: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks_of(document: Path) -> list[Block]:
    """Every fenced block of a document, in order."""
    text, found = document.read_text(encoding="utf-8"), []
    for match in FENCE.finditer(text):
        options = dict(word.partition("=")[::2] for word in shlex.split(match[2]))
        assert set(options) <= {"title", "no_run"}, f"{document}: unknown options of a fence: {match[2]}"
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(document, line, match[1], match[3], options.get("title", ""), options.get("no_run", "")))
    return found


class Shell:
    """Runs bash blocks in a folder; `run` executes the programs named in `PROGRAMS` within this process."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder, self.run = folder, run
        self.programs = folder / ".programs"
        self.programs.mkdir(exist_ok=True)
        self.address = str(self.programs / "socket")
        for program in PROGRAMS:
            path = self.programs / program
            path.write_text(CLIENT.format(python=sys.executable, address=self.address, program=program))
            path.chmod(0o755)

    def bash(self, block: Block) -> str:
        """Run a block and return what it printed.

        Raises:
            AssertionError: a command failed; with the output so far.
        """
        environment = os.environ | {"PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}"}
        script = f"source() {{ :; }}\nset -euo pipefail\n{block.text}"
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            Path(self.address).unlink(missing_ok=True)
            server.bind(self.address)
            server.listen()
            server.settimeout(0.05)
            output = stack.enter_context((self.programs / "output").open("w+"))
            child = subprocess.Popen(
                ["bash", "-c", script], cwd=self.folder, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
            while child.poll() is None:
                with contextlib.suppress(TimeoutError):
                    self._answer(server)
            output.seek(0)
            text = output.read()
        assert child.returncode == 0, f"{block}: status {child.returncode}\n{block.text}\n{text[-3000:]}"
        return text

    def _answer(self, server: socket.socket) -> None:
        link, _ = server.accept()
        link.settimeout(None)
        with link, link.makefile("rw") as stream:
            program, folder, *arguments = json.loads(stream.readline())
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.chdir(folder):
                try:
                    status = self.run([program, *arguments])
                except SystemExit as leaving:
                    status = leaving.code if isinstance(leaving.code, int) else 1
                except Exception:
                    said.write(traceback.format_exc())
                    status = 1
            stream.write(json.dumps([status, said.getvalue()]) + "\n")


def with_overrides(arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """A `wfm` command with overrides added behind its own, so that they take precedence."""
    own = [at for at, word in enumerate(arguments) if re.match(r"[a-z][\w.]*=", word)]
    at = own[-1] + 1 if own else arguments.index("--config") + 2
    return [*arguments[:at], *overrides, *arguments[at:]]
