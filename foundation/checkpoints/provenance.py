"""The record of what weights were pretrained on, which lies beside them: in a run, in an export, on the Hub.

`pretraining.json`: the recipe, and the sessions of every data set. `content_hashes.safetensors`: hashes of the samples, see
`foundation.data.shards.content_hashes`. A record is read, never followed: no address in it is opened.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HTTPError, RemoteEntryNotFoundError  # type: ignore[attr-defined]
from pydantic import BaseModel, ConfigDict, ValidationError

from foundation.checkpoints.released import resolve
from foundation.config.redaction import published
from foundation.data.shards.content_hashes import FILE_NAME as CONTENT_HASHES
from foundation.data.shards.content_hashes import Hashes, load_hashes
from foundation.errors import CheckpointError
from foundation.files import write_atomically

PROVENANCE = "pretraining.json"


class Seen(BaseModel):
    """What training reads of one data set. Of `split` and `part`, None is all.

    Records of earlier versions lack `samples`, of these sessions, and what the data set says of itself.
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
    """`recipe`: as it was resolved, without secrets; `datasets`: of the model that training went on from first."""

    recipe: dict[str, Any] = {}
    datasets: list[Seen]


def save_record(path: Path, record: Record) -> None:
    """Write `pretraining.json`."""
    shown = record.model_copy(update={"recipe": published(record.recipe)})
    write_atomically(path, json.dumps(shown.model_dump(mode="json"), indent=1) + "\n")


def load_record(path: Path) -> Record:
    """What `save_record` wrote.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: is no record of what pretraining saw ({reason}); restore it.") from error


def record_of(source: str | Path) -> Record | None:
    """Of an exported folder, an org/name on the Hub or a released name; None where it has none.

    Raises:
        CheckpointError: it is damaged, or the Hub cannot be asked.
    """
    path = _beside(source, PROVENANCE)
    return None if path is None else load_record(path)


def hashes_seen_by(source: str | Path) -> Hashes | None:
    """As `record_of`, the hashes of the samples."""
    path = _beside(source, CONTENT_HASHES)
    return None if path is None else load_hashes(path)


def refuse_earlier_name(folder: Path) -> None:
    """Nothing unless the hashes lie there under their name of before: unread, they would let a leak through.

    Raises:
        CheckpointError: they do.
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
