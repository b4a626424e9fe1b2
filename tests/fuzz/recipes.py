"""Fuzz recipes and overrides: tests/fuzz/recipes.py [--count 20000] [--seed 0].

A mutated recipe must be resolved or refused by a `RecipeError` of one line, within two seconds and without much memory;
what is resolved must survive being written and read again.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil

from foundation.config import AdaptRecipe, EvaluateRecipe, FinetuneRecipe, PretrainRecipe, dump_recipe, load_recipe
from foundation.config.imputation import ImputationRecipe
from foundation.config.packaged import PACKAGED
from foundation.config.study import StudyRecipe
from foundation.config.suite import SuiteRecipe
from foundation.errors import RecipeError

LIMIT_S, ROOM = 2.0, 256 * 2**20
KINDS = {
    "pretrain": PretrainRecipe,
    "adapt": AdaptRecipe,
    "finetune": FinetuneRecipe,
    "evaluate": EvaluateRecipe,
    "studies": StudyRecipe,
    "imputation.yaml": ImputationRecipe,
    "suite.yaml": SuiteRecipe,
    "frozen.yaml": SuiteRecipe,
    "quickstart.yaml": PretrainRecipe,
}
#: What people and attackers write in place of a value.
VALUES = (
    *("-1", "0", "1e400", "-1e400", ".nan", ".inf", "-.inf", "1" * 5000, "0x7fffffffffffffff", "1e9", "99999999999"),
    *("null", "true", "[]", "{}", "''", "'\\0'", '"\\u0000"', '"\\ud800"', "'[/x]'", "'\\x1b[31m'", "'<script>'", "~"),
    *("~nobody/x", "/proc/self/mem", "/dev/zero", "pipe:id", "'$(id)'", "!!python/object:os.system [id]", "2001-99-99"),
    *(
        "[" * 3000,
        "{a: " * 2000,
        "&a [*a]",
        "*a",
        "- - - -",
        "!!binary x",
        "!!set {1}",
        "? x",
        "0b1",
        "1_000",
        "1:30:00",
    ),
)

CHARACTERS = (0, 9, 27, 34, 38, 42, 58, 91, 123, 0x202E, 0xD800, 0x10FFFF)
KEYS = ("train.steps", "model.heads", "tune.steps", "seeds", "out", "task.shards", "data", "a.b.c", "")


def mutate(text: str, rng: random.Random) -> str:
    """Change the value of a line, repeat, drop or indent a line, or change characters; up to three times."""
    lines = text.split("\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        kind = rng.randrange(6)
        if kind <= 1:
            lines[at] = f"{lines[at].partition(':')[0]}: {rng.choice(VALUES)}"
        elif kind == 2:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif kind == 3:
            del lines[at]
            lines = lines or [""]
        elif kind == 4:
            lines[at] = " " * rng.randint(1, 4) + lines[at]
        else:
            line = list(lines[at] or " ")
            line[rng.randrange(len(line))] = chr(
                rng.choice((0, 9, 27, 34, 38, 42, 58, 91, 123, 0x202E, 0xD800, 0x10FFFF))
            )
            lines[at] = "".join(line)
    return "\n".join(lines)


def problem_of(path: Path, kind: type, overrides: list[str]) -> str | None:
    """What is wrong with how a recipe is taken; None if nothing is."""
    began = time.process_time()
    try:
        recipe = load_recipe(path, kind, overrides)
        path.write_text(dump_recipe(recipe), encoding="utf-8")
        if load_recipe(path, kind) != recipe:
            return "is another recipe once it is written and read"
    except RecipeError as error:
        if "\n" in str(error) or len(str(error)) > 3000:
            return f"an error of {len(str(error))} characters, in lines: {str(error)[:200]!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    seconds = time.process_time() - began
    return f"took {seconds:.1f} s" if seconds > LIMIT_S else None


def run(count: int, seed: int) -> list[str]:
    """Try `count` mutants and return what was wrong with them."""
    rng, problems, before = random.Random(seed), [], psutil.Process().memory_info().rss
    sources = sorted(PACKAGED.rglob("*.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            source = rng.choice(sources)
            kind = KINDS.get(source.parent.name) or KINDS[source.name]
            path = Path(folder, "a.yaml")
            text = mutate(source.read_text(), rng)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            overrides = []
            if rng.random() < 0.5:
                key = rng.choice(KEYS)
                overrides = [f"{key}={rng.choice(VALUES)}"]
            found = problem_of(path, kind, overrides)
            if found is not None:
                problems.append(f"mutant {number} of {source.name} {[word[:80] for word in overrides]}: {found}")
                print(problems[-1][:400], flush=True)
    peak = max(psutil.Process().memory_info().rss, before) - before
    return problems + ([f"{peak / 2**20:.0f} MB of memory"] if peak > ROOM else [])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    problems = run(args.count, args.seed)
    print(f"{args.count} mutants, {len(problems)} problems")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
