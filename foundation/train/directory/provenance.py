"""Writes the provenance record of a run (data sets, sessions, content hashes) before its first step."""

from __future__ import annotations

import json

import numpy as np

from foundation.checkpoints.provenance import PROVENANCE, Record, Seen, hashes_seen_by, record_of, save_record
from foundation.config import CorpusSection, PretrainRecipe
from foundation.data.shards.address import is_url
from foundation.data.shards.content_hashes import FILE_NAME as CONTENT_HASHES
from foundation.data.shards.content_hashes import Hashes, hashes_of, load_sources, save_hashes
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest, count_sessions
from foundation.errors import CheckpointError


def write_record(recipe: PretrainRecipe, *, begun: bool) -> None:
    """Write `pretraining.json` and the content hashes into the run directory; a resumed run that has both keeps them.

    Before the first checkpoint the recipe may change, so both files are rewritten. A run begun by an earlier version
    lacks `pretraining.json` and the hashes of the data of `init`. Shards behind URLs are recorded by their sessions
    only: hashing would download all of them again.

    Args:
        begun: whether the run has a checkpoint, trained on what its record says.

    Raises:
        CheckpointError: the run began on other shards; or the record of `init`, or the run's own, is damaged.
        ShardError: shards are missing or damaged.
    """
    contents, sources = recipe.out / CONTENT_HASHES, _sources(recipe)
    known = load_sources(contents) if contents.is_file() else None
    if begun and known not in (None, sources):
        raise CheckpointError(
            f"{recipe.out}: its shards are not those that it began with; restore them, or set out= to a new directory "
            "to train on their current content."
        )
    if begun and known is not None and (recipe.out / PROVENANCE).is_file():
        return
    save_hashes(contents, hashes_in_training(recipe), sources)
    record = Record(recipe=recipe.model_dump(mode="json"), datasets=seen_in_training(recipe))
    save_record(recipe.out / PROVENANCE, record)


def hashes_in_training(recipe: PretrainRecipe) -> Hashes:
    """Sorted hashes of the samples of a recipe's local shards and of those that its `init` model was trained on."""
    found = [hashes_of([source for source in recipe.data.sources if not is_url(source.shards)])]
    if recipe.init and (before := hashes_seen_by(recipe.init)) is not None:
        found.append(before)
    return np.unique(np.concatenate(found))


def seen_in_training(recipe: PretrainRecipe) -> list[Seen]:
    """The data sets of the recipe's `init` model, then those of the recipe.

    Raises:
        ShardError: shards are missing.
        CheckpointError: as `record_of`.
    """
    before = record_of(recipe.init) if recipe.init else None
    return [*(before.datasets if before else []), *(_seen(source) for source in recipe.data.sources)]


def training_sessions(source: CorpusSection, manifest: Manifest) -> dict[str, int]:
    """Session -> number of samples of a corpus that training reads."""
    if source.is_subset:
        return Corpus(source).sessions
    counts = count_sessions(manifest.shards)
    if source.split and source.part:
        return {session: counts[session] for session in manifest.sessions(source.split, source.part)}
    return counts


def _seen(source: CorpusSection) -> Seen:
    manifest = Manifest.load(source.shards)
    sessions = training_sessions(source, manifest)
    return Seen(
        name=manifest.name,
        fingerprint=manifest.fingerprint(),
        split=source.split,
        part=source.part,
        sessions=sorted(sessions),
        samples=sum(sessions.values()),
        title=manifest.title,
        licence=manifest.licence,
        citation=manifest.citation,
        homepage=manifest.homepage,
        kinds=list(manifest.summary.kinds),
    )


def _sources(recipe: PretrainRecipe) -> str:
    """Key of the training samples: a subset adds its selection, a full part does not (as in earlier versions)."""
    parts = [source for source in recipe.data.sources if not is_url(source.shards)]
    subsets = [[part.kinds, part.sessions, part.samples] if part.is_subset else [] for part in parts]
    return json.dumps(
        [
            [Manifest.load(part.shards).fingerprint(), part.split, part.part, *subset]
            for part, subset in zip(parts, subsets, strict=True)
        ]
    )
