"""The parser of `wfm`: a mistyped word names the nearest one, and an option that is a recipe's key is shown as such."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterator, Sequence
from types import NoneType
from typing import Any, NoReturn, get_args

from foundation.errors import RecipeError

_CHOICE = re.compile(
    r"argument (?P<what>\S+): invalid choice: '(?P<given>.*)' \(choose from (?P<known>.*)\)", re.DOTALL
)


class Parser(argparse.ArgumentParser):
    """As `argparse.ArgumentParser`; options are not abbreviated, KEY=VALUE may stand before and after options."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, where a word is not one of those that are known; else as argparse does."""
        found = _CHOICE.fullmatch(message)
        if found is None:
            super().error(message)
        known = re.findall(r"[^\s',]+", found["known"])
        what = {"COMMAND": "command", "ACTION": "action"}.get(found["what"], found["what"])
        raise RecipeError(f"{what} {found['given']!r}: {nearest(found['given'], known)} See '{self.prog} --help'.")

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse a command line.

        Raises:
            RecipeError: a word is not known; names the nearest, or the key of the recipe that is meant.
        """
        args, rest = self.parse_known_args(words)
        takes_keys = hasattr(args, "overrides")
        if takes_keys:
            args.overrides = [*args.overrides, *(word for word in rest if _is_override(word))]
            rest = [word for word in rest if not _is_override(word)]
        if not rest:
            return args
        name, _, value = rest[0].lstrip("-").partition("=")
        keys = sorted(keys_of(args.recipe_kind, name.replace("-", "_"))) if getattr(args, "recipe_kind", None) else []
        if keys:
            after = words[words.index(rest[0]) + 1 :]
            value = value or next((word for word in after[:1] if not word.startswith("-")), "VALUE")
            raise RecipeError(
                f"{rest[0]} is a key of the recipe; write {' or '.join(f'{key}={value}' for key in keys)}."
            )
        options = [each for action in args.parser._actions for each in action.option_strings if each.startswith("--")]
        guess = nearest(rest[0], options) if rest[0].startswith("-") else "a recipe's keys are changed by KEY=VALUE."
        raise RecipeError(f"{rest[0]!r} is not understood; {guess} See '{args.parser.prog} --help'.")


def _is_override(word: str) -> bool:
    return "=" in word and not word.startswith("-")


def nearest(given: str, known: Sequence[str]) -> str:
    """'did you mean ...?' with the most similar word, and all words."""
    match = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    return f"{f'did you mean {match[0]!r}? ' if match else ''}Known: {', '.join(known)}."


def keys_of(kind: str, name: str) -> set[str]:
    """Dotted keys of a kind of recipe whose last word is `name`."""
    import foundation.config

    return {key for key in _walk(getattr(foundation.config, kind)) if key.rpartition(".")[2] == name}


def _walk(model: Any, prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kinds = [each for each in (field.annotation, *get_args(field.annotation)) if each is not NoneType]
        section = next((each for each in kinds if isinstance(each, type) and hasattr(each, "model_fields")), None)
        yield f"{prefix}{name}"
        if section is not None and field.annotation in (section, section | None):
            yield from _walk(section, f"{prefix}{name}.")
