"""Where nothing can be written, every command says so in one sentence, and leaves nothing behind."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from helpers.intel5300 import intel_record, random_csi, written
from helpers.tiny import pretrain_recipe, snapshot, write_recipe

from foundation.cli import main

COMMANDS = ("pretrain", "finetune", "evaluate", "inspect", "build", "export", "quickstart", "study", "merge")


def _words(command: str, out: Path, shards: Path, trained: Path, folder: Path) -> list[str]:
    """A command line that would write `out`; its recipe and capture are in `folder`."""
    task = {"shards": str(shards), "label": "activity", "split": "room"}
    common = {"name": "tiny", "checkpoint": str(trained / "model"), "task": task, "tune": {"steps": 1}}
    config = folder / "recipe.yaml"
    if command == "pretrain":
        return ["pretrain", "--config", str(write_recipe(config, pretrain_recipe(shards, out, steps=1)))]
    if command == "finetune":
        return ["finetune", "--config", str(write_recipe(config, {**common, "out": str(out)}))]
    if command == "evaluate":
        fields = {**common, "set": "tiny", "modes": ["baseline"], "fractions": [0.1], "cache": str(folder / "cache")}
        return ["evaluate", "--config", str(write_recipe(config, fields)), "--json", str(out)]
    if command == "inspect":
        capture = written(folder / "a.dat", *(intel_record(random_csi(step), 1000 * step) for step in range(3)))
        return ["inspect", str(capture), "--png", f"{out}.png"]
    if command == "build":
        return ["shards", "build", "simulated", "--count", "320", "--out", str(out)]
    if command == "export":
        return ["hub", "export", str(trained / "checkpoints" / "final.ckpt"), str(out)]
    if command == "study":
        write_recipe(folder / "base.yaml", pretrain_recipe(shards, folder / "unused", steps=1))
        held_out = {"shards": str(shards), "split": "room", "part": "test", "samples": 8}
        fields = {"name": "tiny", "pretrain": "base.yaml", "variants": {"base": []}, "seeds": [0], "held_out": held_out}
        return ["study", str(write_recipe(config, {**fields, "cache": str(out)}))]
    if command == "merge":
        return ["shards", "merge", str(out)]
    return ["quickstart", "--tiny", "--out", str(out)]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", ["below a file", "in /proc"])
def test_a_place_that_takes_no_files_is_one_sentence(
    command: str, place: str, shards_dir: Path, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("of the user")
    out = tmp_path / "file" / "out" if place == "below a file" else Path("/proc/out/here")
    words = _words(command, out, shards_dir, trained, tmp_path)
    before = snapshot(tmp_path)
    capfd.readouterr()
    assert main(words) in (2, 74)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("wfm: ")
    assert "defect" not in line
    assert (str(tmp_path / "file") if place == "below a file" else "/proc") in line
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_done(
    command: str, shards_dir: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stand-in: no file may grow beyond 20 kB (rows: 100 B), which the system reports much as it does a full disk."""
    words = _words(command, tmp_path / "out", shards_dir, trained, tmp_path)
    for share in ("0/2", "1/2") if command == "merge" else ():
        assert main([*_words("build", tmp_path / "out", shards_dir, trained, tmp_path), "--array", share]) == 0
    most = 100 if command == "evaluate" else 20_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    capsys.readouterr()
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        status = main(words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err
    assert status in (2, 74), said
    (line,) = (line for line in said.splitlines() if line.startswith("wfm: ") and "warning" not in line)
    assert "defect" not in line
    assert "too large" in line.lower() or "free" in line
    assert "Traceback" not in said
    left = [path for path in tmp_path.rglob("*") if "partial" in path.name]
    assert all(".pieces" in path.parts for path in left), "what a build goes on from"
