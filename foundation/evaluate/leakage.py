"""Leakage check: refuse checkpoints that were pretrained on test recordings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path

from foundation.checkpoints.load import content_hashes, provenance
from foundation.config import CorpusSection, EvaluateRecipe
from foundation.data.shards.content_hashes import Hashes, hashes_of, known_among
from foundation.data.shards.manifest import Manifest
from foundation.errors import RecipeError


def refuse_overlaps(recipe: EvaluateRecipe) -> None:
    """`refuse_overlap` for every checkpoint of a recipe and the test parts of every fold."""
    for fold in recipe.folds:
        sources = dict.fromkeys(recipe.source(*each) for each in product(recipe.sources, [fold], recipe.seeds))
        for checkpoint in sources:
            refuse_overlap(checkpoint, recipe.task.shards, fold, recipe.task.tests)


def refuse_overlap(
    checkpoint: str | Path, shards: str | Path, split: str, tests: Sequence[str], did: str = "pretrained on"
) -> None:
    """Refuse a checkpoint, or a domain adapter, that was trained on a test session, or on test samples of any name.

    Samples are compared by hashes of their exact values, see `foundation.data.shards.content_hashes`; near duplicates
    (scaled, resampled, cut elsewhere) are found by `wfm shards verify --against`. Without recorded hashes only sessions
    are compared; without any record a warning is issued.

    Args:
        tests: parts of the split.
        did: what it did with what is on record, in messages.

    Raises:
        RecipeError: names the data set, the part and the first session, or counts the samples.
    """
    manifest = Manifest.load(shards)
    record = provenance(checkpoint)
    if record is None:
        warnings.warn(
            f"{checkpoint}: nothing is on record of what it was {did} (pretraining.json beside its weights, or "
            "in the directory of its run), so overlap with the test recordings cannot be checked",
            stacklevel=2,
        )
    for seen, part in product(record.datasets if record else [], tests):
        both = sorted(set(seen.sessions) & set(manifest.sessions(split, part)))
        if both and seen.fingerprint == manifest.fingerprint():
            raise RecipeError(
                f"{checkpoint} was {did} session {both[0]!r} of {seen.name}, which part {part!r} tests; "
                f"take one that was {did} other recordings, or test another part."
            )
    known = content_hashes(checkpoint)
    if known is None:
        return
    for part in tests:
        hashes = _hashes(str(shards), manifest.fingerprint(), split, part)
        if seen_too := known_among(hashes, known):
            raise RecipeError(
                f"{checkpoint} was {did} {seen_too} of {len(hashes)} samples of {shards}, part {part!r}, "
                "from shards or sessions of another name, see 'wfm shards verify --against'; take one that was not, or "
                "test another part."
            )


@lru_cache(maxsize=64)
def _hashes(shards: str, fingerprint: str, split: str, part: str) -> Hashes:
    """Cached, because several checkpoints are compared with the same test samples."""
    return hashes_of([CorpusSection(shards=shards, split=split, part=part)])
