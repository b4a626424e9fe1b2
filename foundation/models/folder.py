"""An exported folder, checked before transformers opens it: which files, which configuration, which weights.

transformers follows what it finds in a folder: an adapter beside the model leads to another base, an index to files
elsewhere, a key of config.json to code. Here the files and keys are those that an export has, and no others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError  # type: ignore[attr-defined]  # httpx's or httpx2's, by version

from foundation.errors import CheckpointError
from foundation.json_file import load_json
from foundation.models.config import WfmConfig
from foundation.models.weights import Shapes, check_shapes, read_shapes
from foundation.released import resolve

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
FILES = (CONFIG, WEIGHTS, INDEX, "preprocessor_config.json", "pretraining.json", "content_hashes.safetensors")
#: Files that nothing reads.
IGNORED = (".md", ".txt", ".html", ".png")

#: Options of `from_pretrained` that say where on the Hub a model is.
_OF_HUB = ("revision", "cache_dir", "token", "force_download", "local_files_only")


def local_folder(source: str | Path, options: dict[str, Any]) -> Path:
    """The folder of a released name, of a path, or of a repository, of which only the files of an export are fetched.

    Args:
        options: of `from_pretrained`; those of the Hub are taken out.

    Raises:
        CheckpointError: there is none, or the Hub has none or cannot be reached.
    """
    of_hub = {name: value for name in _OF_HUB if (value := options.pop(name, None)) is not None}
    subfolder = str(options.pop("subfolder", "") or "")
    if ".." in Path(subfolder).parts or Path(subfolder).is_absolute():
        raise CheckpointError(f"subfolder {subfolder[:80]!r}: expected one below {source}.")
    found = resolve(source)
    if isinstance(found, Path):
        return found / subfolder
    patterns = [f"{subfolder}/{name}".lstrip("/") for name in (*FILES, "model-*.safetensors", "adapter_config.json")]
    return fetched(found, patterns, of_hub) / subfolder


def fetched(repository: str, patterns: Sequence[str], of_hub: Mapping[str, Any]) -> Path:
    """The folder in the Hub's cache that these files of a repository are in, fetched where they are not.

    Args:
        of_hub: options of `snapshot_download`.

    Raises:
        CheckpointError: the Hub has no such repository or cannot be reached.
    """
    try:
        return Path(snapshot_download(repository, allow_patterns=list(patterns), **of_hub))
    except (HTTPError, OSError, ValueError) as error:
        reason = "it cannot be reached" if isinstance(error, LocalEntryNotFoundError) else str(error).split(". ")[0]
        reason = " ".join(reason.split())[:200]
        raise CheckpointError(
            f"{repository}: is no folder here and cannot be had from the Hub ({reason}); check the name or the network."
        ) from error


def check_folder(folder: Path) -> bool:
    """Whether a folder holds a whole model (True), or an encoder alone (False).

    Raises:
        CheckpointError: it holds no model of this library, or more than that.
    """
    _check_files(folder)
    config = read_config(folder / CONFIG)
    shapes: Shapes = {}
    for path in _weight_files(folder):
        shapes |= read_shapes(path)
    return check_shapes(folder, shapes, config)


def read_config(path: Path) -> WfmConfig:
    """The configuration in a config.json.

    Raises:
        CheckpointError: it is missing, damaged, or not that of a model of this library.
    """
    raw = read_object(path)
    if raw.get("model_type") != WfmConfig.model_type:
        raise CheckpointError(f"{path}: model_type is not {WfmConfig.model_type!r}: it is no model of this library.")
    try:
        return WfmConfig(**raw)
    except CheckpointError as error:
        raise CheckpointError(f"{path.parent}: {error}") from None


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        CheckpointError: it is missing, large, damaged, or holds something else.
    """
    try:
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; an export holds it.")
        raw = load_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}).") from error
    if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
        raise CheckpointError(f"{path}: expected an object with keys.")
    return raw


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder.")
    for path in sorted(folder.iterdir()):
        name = path.name
        if name == "adapter_config.json":
            what = "beside a model, which would load another one" if (folder / CONFIG).exists() else "without a model"
            raise CheckpointError(
                f"{path}: an adapter {what}; load it with foundation.adapt.load_adapter, from a folder of its own."
            )
        known = name in FILES or _SHARD.fullmatch(name) or name == "LICENSE"
        if not known and not name.startswith(".") and path.suffix.lower() not in IGNORED:
            shown = repr(str(path))[1:-1]
            raise CheckpointError(f"{shown}: is not part of an exported model; move it out of the folder.")
        if known and not path.is_file():  # opening a pipe would wait for ever
            raise CheckpointError(f"{path}: cannot be read (it is no regular file); restore the export.")


def _weight_files(folder: Path) -> Iterator[Path]:
    if (folder / WEIGHTS).exists() or not (folder / INDEX).exists():
        yield folder / WEIGHTS
        return
    files = read_object(folder / INDEX).get("weight_map")
    names = set(files.values()) if isinstance(files, dict) and all(map(_is_text, files.values())) else set()
    if not names or not all(map(_SHARD.fullmatch, names)):
        raise CheckpointError(
            f"{folder / INDEX}: expected a weight_map to files called model-00001-of-00002.safetensors."
        )
    for name in sorted(names):
        yield folder / name


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
