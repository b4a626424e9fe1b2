"""CSI-Bench: in-the-wild Wi-Fi sensing with commodity devices, seven tasks.

Origin: https://github.com/Jenny-Zhu/CSI-Bench-Real-WiFi-Sensing-Benchmark (data on Kaggle, guozhenjennzhu/csi-bench).
Licence: not stated here: see the Kaggle page. Citation: Zhu et al., CSI-Bench, NeurIPS 2025, arXiv:2505.21866.
Files: `TASK/metadata/sample_metadata.csv` (columns id or sample_id, file_path, label), `TASK/splits/*.json` (lists of
ids) and the recordings `.../*.h5`; TASK may lie below `Multitask/` or, in older releases, `tasks/`. See
`layouts/csi-bench.yaml`.
Samples: one file each, packets x features. Option `task`: the folder, such as HumanActivityRecognition.
Labels: `label`, the classes of the task.
Splits: one for each published test list: `id` (leaks people: train and test share them), `cross-user`, `cross-env`,
`cross-device`, and difficulty lists where the task has them; train and valid are train_id and val_id. A session is a
recording.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import NOT_STATED, from_files, layout, parts
from foundation.errors import ShardError
from foundation.json_file import load_json
from foundation.readers.arrays.layouts import Layout
from foundation.readers.arrays.reader import stream
from foundation.signal import Signal

NAME = "csi-bench"
HOMEPAGE = "https://github.com/Jenny-Zhu/CSI-Bench-Real-WiFi-Sensing-Benchmark"


def build(raw: Path, task: str = "HumanActivityRecognition") -> Dataset:
    """One task of the data set in the folder `raw`."""
    metadata = raw_files(raw, f"**/{task}/metadata/sample_metadata.csv", name=NAME, homepage=HOMEPAGE)[0]
    folder = metadata.parents[1]
    rows = _rows(metadata)
    of = {_locate(folder, row["file_path"]): row for row in rows.values()}
    given = layout("csi-bench")

    return from_files(
        raw,
        {path: partial(_read, path, given, row["id"], row["label"]) for path, row in sorted(of.items())},
        lambda: _splits(folder, {row["id"] for row in of.values()}),
        name=NAME,
        title=f"CSI-Bench, {task}",
        licence=NOT_STATED,
        citation="Zhu et al., CSI-Bench, NeurIPS 2025, arXiv:2505.21866",
        homepage=HOMEPAGE,
        tasks={"label": "classification"},
        parameters={"task": task},
    )


def _read(path: Path, given: Layout, session: str, label: str) -> Iterator[Signal]:
    return (signal.with_(session=session, labels={"label": label}) for signal in stream(path, given))


def _rows(path: Path) -> dict[str, dict[str, str]]:
    """Id -> row, with the key `id` whatever the column is called."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    try:
        return {(name := row.get("id") or row["sample_id"]): {**row, "id": name} for row in rows if row["label"]}
    except KeyError as error:
        raise ShardError(f"{path}: has no column {error}; expected id (or sample_id), file_path and label.") from None


def _locate(folder: Path, stated: str) -> Path:
    """The file named in a row of the metadata: its longest path suffix that exists below the task, or beside it."""
    tail = [part for part in PurePosixPath(stated.replace("\\", "/")).parts if part not in ("..", "/", ".")]
    for base in (folder, folder.parent, folder.parents[1]):
        for start in range(len(tail)):
            if (path := base.joinpath(*tail[start:])).is_file():
                return path
    raise ShardError(f"{folder}: the metadata names {stated}, which is not there; download the whole task.")


def _list(path: Path) -> Any:
    try:
        return load_json(path)
    except (OSError, ValueError) as error:
        raise ShardError(f"{path}: cannot be read as JSON ({error}); download the task again.") from error


def _splits(folder: Path, known: set[str]) -> Splits:
    lists = {path.stem: path for path in sorted((folder / "splits").glob("*.json"))}
    ids = {
        name: [str(entry) for entry in _list(path)]
        for name, path in lists.items()
        if name in ("train_id", "val_id") or (name.startswith("test_") and "_p" not in name)
    }
    splits: Splits = {}
    for name in (name for name in ids if name.startswith("test_")):
        chosen = {"train": ids.get("train_id", []), "valid": ids.get("val_id", []), "test": ids[name]}
        part_of = {entry: part for part, entries in chosen.items() for entry in entries if entry in known}
        splits[name.removeprefix("test_").replace("_", "-")] = parts(part_of, ("train", "valid", "test"))
    return splits
