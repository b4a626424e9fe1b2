"""Provenance of weights: the record of their pretraining data, beside them in a run, in an export and on the Hub.

`pretraining.json` holds the recipe and the sessions of every data set, `content_hashes.safetensors` hashes of the
samples, see `foundation.data.shards.content_hashes`. Paths and URLs in a record are never opened.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HTTPError, RemoteEntryNotFoundError  # type: ignore[attr-defined]
from pydantic import BaseModel, ConfigDict, ValidationError

from foundation.data.shards.content_hashes import FILE_NAME as CONTENT_HASHES
from foundation.data.shards.content_hashes import Hashes, load_hashes
from foundation.errors import CheckpointError
from foundation.files import write_atomically
from foundation.redaction import published
from foundation.released import resolve

PROVENANCE = "pretraining.json"
#: In the directory of a run whose content hashes are still being prepared; holds the text of `load_sources`.
PENDING = ".content_hashes.pending"


class Seen(BaseModel):
    """The part of one data set that training read; `split` and `part` are None for all of it.

    Records of earlier versions lack `samples` and the fields below it.
    """

    model_config = ConfigDict(frozen=True)  # unknown keys are those of a later version

    name: str
    fingerprint: str
    split: str | None
    part: str | list[str] | None
    sessions: list[str]
    samples: int | None = None
    title: str = ""
    licence: str = ""
    citation: str = ""
    homepage: str = ""
    kinds: list[str] = []


class Record(BaseModel):
    """Provenance record: the resolved `recipe` without secrets, and the `datasets`, those of the initial model
    first."""

    recipe: dict[str, Any] = {}
    datasets: list[Seen]


def save_record(path: Path, record: Record) -> None:
    """Write `pretraining.json`."""
    shown = record.model_copy(update={"recipe": published(record.recipe)})
    write_atomically(path, json.dumps(shown.model_dump(mode="json"), indent=1) + "\n")


def load_record(path: Path) -> Record:
    """Read what `save_record` wrote.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: is not a provenance record ({reason}); restore it.") from error


def record_of(source: str | Path) -> Record | None:
    """The record of an exported folder, an org/name on the Hub or a released name; None if there is none.

    Raises:
        CheckpointError: it is damaged, or the Hub cannot be reached.
    """
    path = _beside(source, PROVENANCE)
    return None if path is None else load_record(path)


def hashes_seen_by(source: str | Path) -> Hashes | None:
    """The content hashes of the samples; otherwise as `record_of`."""
    path = _beside(source, CONTENT_HASHES)
    return None if path is None else load_hashes(path)


def refuse_pending(run: Path) -> None:
    """Check that the content hashes of a run are there, if it writes any.

    Raises:
        CheckpointError: they are still being prepared, or the run was stopped before they were.
    """
    if (run / PENDING).exists():
        raise CheckpointError(
            f"{run}: the hashes of its training samples are not ready, so overlaps cannot be checked; wait until the "
            "run has prepared them, or run 'wfm pretrain' with its recipe once more."
        )


def refuse_earlier_name(folder: Path) -> None:
    """Check for content hashes under the file name of earlier versions, which would otherwise go unread.

    Raises:
        CheckpointError: there are some.
    """
    if (folder / "contents.safetensors").exists():
        raise CheckpointError(f"{folder / 'contents.safetensors'}: is now called {CONTENT_HASHES}; rename it.")


def _beside(source: str | Path, name: str) -> Path | None:
    path = Path(source := resolve(source))
    if path.is_dir():
        refuse_earlier_name(path)
        return path / name if (path / name).is_file() else None
    try:
        return Path(hf_hub_download(str(source), name))
    except RemoteEntryNotFoundError:
        return None
    except (HTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{source}: what it was pretrained on cannot be read from the Hub ({reason}).") from error
