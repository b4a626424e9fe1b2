"""Writes the provenance record of a run (data sets, sessions, content hashes) before its first step.

The hashes of a billion samples take minutes to sort, and those of directories without hashes hours to compute. Then
another process does it while the run trains; a hidden file says meanwhile that they are missing, so that no evaluation
takes the run for one without a record.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from multiprocessing.process import BaseProcess

from foundation.checkpoints.provenance import (
    PENDING,
    PROVENANCE,
    Record,
    Seen,
    hashes_seen_by,
    load_record,
    record_of,
    save_record,
)
from foundation.config import PretrainRecipe, SamplesSection
from foundation.data.shards.address import is_url
from foundation.data.shards.content_hashes import FILE_NAME as CONTENT_HASHES
from foundation.data.shards.content_hashes import Hashes, hashes_of, load_sources, save_hashes, unique
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest, count_sessions
from foundation.data.shards.stated_hashes import is_stated
from foundation.data.shards.worker_pool import begin_worker
from foundation.errors import CheckpointError
from foundation.files import write_atomically

#: Samples whose hashes are sorted before the first step: two seconds.
MOST_AT_START = 2**24


def write_record(recipe: PretrainRecipe, *, begun: bool) -> BaseProcess | None:
    """Write `pretraining.json` and the content hashes into the run directory; a resumed run that has both keeps them.

    Returns:
        The process that prepares the hashes, where that takes longer than a start may; see `finish_record`.

    Before the first checkpoint the recipe may change, so both files are rewritten. A run begun by an earlier version
    lacks `pretraining.json` and the hashes of the data of `init`. Shards behind URLs are recorded by their sessions
    only: hashing would download all of them again.

    Args:
        begun: whether the run has a checkpoint, trained on what its record says.

    Raises:
        CheckpointError: the run began on other shards; or the record of `init`, or the run's own, is damaged.
        ShardError: shards are missing or damaged.
    """
    # Once: of 10**9 samples it takes seconds.
    manifests = [Manifest.load(source.shards) for source in recipe.data.sources]
    contents, pending, sources = recipe.out / CONTENT_HASHES, recipe.out / PENDING, _key(recipe, manifests)
    known = pending.read_text() if pending.is_file() else load_sources(contents) if contents.is_file() else None
    if begun and known not in (None, sources):
        raise CheckpointError(
            f"{recipe.out}: its shards are not those that it began with; restore them, or set out= to a new directory "
            "to train on their current content."
        )
    if begun and known is not None and (recipe.out / PROVENANCE).is_file() and not pending.is_file():
        kept = load_record(recipe.out / PROVENANCE)
        if kept.recipe.get("train", {}).get("steps") != recipe.train.steps:  # it goes on for more or fewer
            save_record(recipe.out / PROVENANCE, kept.model_copy(update={"recipe": recipe.model_dump(mode="json")}))
        return None
    record = Record(recipe=recipe.model_dump(mode="json"), datasets=_datasets(recipe, manifests))
    if _effort(recipe, manifests) <= MOST_AT_START:
        _hash(recipe, sources)  # before anything is written: a shard may be missing
        save_record(recipe.out / PROVENANCE, record)
        return None
    write_atomically(pending, sources)
    save_record(recipe.out / PROVENANCE, record)
    process = multiprocessing.get_context("spawn").Process(target=_hash_aside, args=(recipe, sources), daemon=True)
    process.start()
    return process


def finish_record(recipe: PretrainRecipe, process: BaseProcess | None) -> None:
    """Wait for what `write_record` gave. A process that failed is repeated here, which says why.

    Raises:
        ShardError, CheckpointError: as `write_record`.
    """
    if process is not None:
        process.join()
        if process.exitcode:
            _hash(recipe, (recipe.out / PENDING).read_text())


def _hash(recipe: PretrainRecipe, sources: str) -> None:
    save_hashes(recipe.out / CONTENT_HASHES, hashes_in_training(recipe), sources)
    (recipe.out / PENDING).unlink(missing_ok=True)


def _hash_aside(recipe: PretrainRecipe, sources: str) -> None:
    begin_worker()
    _hash(recipe, sources)


def _effort(recipe: PretrainRecipe, manifests: Sequence[Manifest]) -> int:
    """Samples to sort; reading and hashing one takes as long as sorting a thousand."""
    return sum(
        manifest.count * (1 if is_stated(source.shards, manifest) else 1000)
        for source, manifest in zip(recipe.data.sources, manifests, strict=True)
        if not is_url(source.shards)
    )


def hashes_in_training(recipe: PretrainRecipe) -> Hashes:
    """Sorted hashes of the samples of a recipe's local shards and of those that its `init` model was trained on."""
    found = [hashes_of([source for source in recipe.data.sources if not is_url(source.shards)])]
    if recipe.init and (before := hashes_seen_by(recipe.init)) is not None:
        return unique([*found, before])
    return found[0]


def seen_in_training(recipe: PretrainRecipe) -> list[Seen]:
    """The data sets of the recipe's `init` model, then those of the recipe.

    Raises:
        ShardError: shards are missing.
        CheckpointError: as `record_of`.
    """
    return _datasets(recipe, [Manifest.load(source.shards) for source in recipe.data.sources])


def training_sessions(source: SamplesSection, manifest: Manifest) -> dict[str, int]:
    """Session -> number of samples of a corpus that training reads."""
    if source.is_subset:
        return Corpus(source).sessions
    counts = count_sessions(manifest.shards)
    if source.split and source.part:
        return {session: counts[session] for session in manifest.sessions(source.split, source.part)}
    return counts


def _datasets(recipe: PretrainRecipe, manifests: Sequence[Manifest]) -> list[Seen]:
    record = record_of(recipe.init) if recipe.init else None
    found: list[Seen] = []
    for seen in [*(record.datasets if record else []), *map(seen_of, recipe.data.sources, manifests)]:
        if seen not in found:  # a run that goes on from weights often reads what they were trained on
            found.append(seen)
    return found


def seen_of(source: SamplesSection, manifest: Manifest) -> Seen:
    """What a record says of a corpus."""
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


def _key(recipe: PretrainRecipe, manifests: Sequence[Manifest]) -> str:
    """Key of the training samples: a subset adds its selection, a full part does not (as in earlier versions)."""
    return json.dumps(
        [
            [manifest.fingerprint(), part.split, part.part]
            + ([part.kinds, part.sessions, part.samples] if part.is_subset else [])
            for part, manifest in zip(recipe.data.sources, manifests, strict=True)
            if not is_url(part.shards)
        ]
    )
