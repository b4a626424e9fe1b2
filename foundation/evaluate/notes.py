"""What a reader of scores must know first: whether they are of another environment, and a default that decides much."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from foundation.config import CorpusSection, TaskSection, TuneSection
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest
from foundation.data.shards.subset import pieces_of
from foundation.errors import ShardError

SHOWN = 3  # names in a sentence
#: Modes whose heads see augmented copies.
AUGMENTED = ("statistics", "lwm-1.0", "cnn", "resnet", "untrained", "probe", "lora", "full", "scratch")


def environment_note(task: TaskSection, folds: Sequence[str]) -> str:
    """One sentence where a test part was recorded in an environment that training has not seen; else "".

    Samples that name no environment say nothing.
    """
    trained, tested, unseen = set[str](), set[str](), False
    for fold in folds:
        seen = _environments(task.shards, fold, [task.train])
        test = _environments(task.shards, fold, task.tests)
        trained, tested, unseen = trained | seen, tested | (test - seen), unseen or bool(seen and test - seen)
    if not unseen:
        return ""
    if len(folds) > 1:
        return (
            f"TRAINED IN ONE ENVIRONMENT, TESTED IN ANOTHER: over {len(folds)} folds, each test environment "
            f"({_few(tested)}) was left out of training."
        )
    return (
        f"TRAINED IN ONE ENVIRONMENT, TESTED IN ANOTHER: training saw {_few(trained)}, the test is in {_few(tested)}."
    )


def augment_note(task: TaskSection, tune: TuneSection, modes: Iterable[str]) -> str:
    """One sentence where heads were fitted without augmented copies, which decides how they take another device; else
    "". Impulse responses, which are not augmented, need none."""
    if tune.augment > 0 or not set(modes) & set(AUGMENTED) or set(Manifest.load(task.shards).summary.kinds) == {"cir"}:
        return ""
    return (
        "tune.augment is 0: heads saw the device of the training recordings alone. For another day or device compare\n"
        "tune.augment=0.15 and 0.3 on left-out training sessions (stability set, D2: 74.0 % with 0.15, 59.6 % with 0)."
    )


def _environments(shards: Path, split: str, parts: list[str]) -> set[str]:
    """The environments that the first sample of every session names.

    Raises:
        ShardError: the shards, the split or a part is missing or damaged.
    """
    corpus = Corpus(CorpusSection(shards=str(shards), split=split, part=parts))
    found = set()
    for number, (shard, ranges) in enumerate(corpus.shards):
        begin = 0
        for _, first, end in pieces_of(shard, ranges):
            where, members = corpus.members(number, begin)
            begin += end - first
            try:
                found.add(str(json.loads(bytes(members["meta.json"]))["environment"]))
            except (KeyError, ValueError, TypeError) as error:
                raise ShardError(f"{where}: cannot be decoded ({error}); run 'wfm shards verify'.") from error
    return found - {""}


def _few(names: set[str]) -> str:
    shown = sorted(name if name.isprintable() else ascii(name) for name in names)
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more
