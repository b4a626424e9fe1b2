"""Every command explains itself: what it does, its arguments, examples that parse, and the version."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator

import pytest

from foundation import __version__
from foundation.cli import _parser, main

#: Words of an example that stand for something.
PLACEHOLDERS = {"i/n": "3/16", "FILE": "recipe.yaml"}


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and all below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _commands(child)


COMMANDS = {parser.prog: parser for parser in _commands(_parser())}


def _examples() -> list[str]:
    """Every call that a help text shows, without its comment."""
    texts = {parser.epilog or "" for parser in COMMANDS.values()}
    lines = {match[1] for text in texts for match in re.finditer(r"^  (wfm .*)$", text, re.MULTILINE)}
    return sorted({re.split(r"\s{2,}| > ", line)[0] for line in lines})


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"wfm {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_described(command: str) -> None:
    parser = COMMANDS[command]
    assert parser.description or parser._subparsers is not None
    assert all(len(line) <= 120 for line in parser.format_help().splitlines())


@pytest.mark.parametrize(
    "command",
    ["pretrain", "plan", "runs", "study", "inspect", "evaluate", "predict", "listen", "serve", "slurm", "hub"],
)
def test_commands_show_examples(command: str) -> None:
    epilog = COMMANDS[f"wfm {command}"].epilog
    assert epilog is not None
    assert f"  wfm {command}" in epilog


@pytest.mark.parametrize("example", _examples())
def test_every_example_parses(example: str) -> None:
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(example)]
    assert words[0] == "wfm"
    args = _parser().parse_args(words[1:])
    assert callable(args.run)
