"""The scripts of `examples/`: each runs to its end in an empty folder, draws a picture and prints sensible numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from helpers import ROOT

pytestmark = pytest.mark.slow


def run(folder: Path, name: str, *args: str) -> str:
    """What a script prints, started from `folder` as a reader would; its picture is checked."""
    known = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *([known] if known else [])]),
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), *args],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    picture = folder / "runs" / "examples" / f"{name}.png"
    assert f"picture: {Path('runs/examples') / picture.name}" in done.stdout
    assert re.search(r"\(\d+ s\)", done.stdout), "the time that it took"
    pixels = matplotlib.image.imread(picture)
    assert min(pixels.shape[:2]) > 300
    assert len(np.unique(pixels[..., :3].reshape(-1, 3), axis=0)) > 50, "a picture with something in it"
    return done.stdout


def number(pattern: str, text: str) -> float:
    """The one group of a pattern that must occur."""
    found = re.search(pattern, text)
    assert found, f"{pattern} in\n{text}"
    return float(found[1])


def test_read_and_look_at_a_simulated_recording(tmp_path: Path) -> None:
    printed = run(tmp_path, "read_and_look")
    assert "5180.000 MHz" in printed or "2437.000 MHz" in printed
    assert "2 links x 64 responses" in printed
    assert 1 < number(r"mean Doppler shift of the moving paths: ([\d.]+) Hz", printed) < 60


def test_three_kinds_in_one_batch(tmp_path: Path) -> None:
    printed = run(tmp_path, "embed_three_kinds")
    assert "96 windows" in printed
    rows = {
        label: [float(value) for value in re.findall(r"-?\d\.\d\d", line)]
        for line in printed.splitlines()
        for label in ("same recording", "other recordings", "Wi-Fi CSI", "UWB impulse response", "RSSI fingerprint")
        if label in line and re.search(r"(-?\d\.\d\d\s*){3}$", line)
    }
    assert len(rows) == 5
    assert all(same > other for same, other in zip(rows["same recording"], rows["other recordings"], strict=True))
    between = np.array([rows[kind] for kind in ("Wi-Fi CSI", "UWB impulse response", "RSSI fingerprint")])
    assert (np.diag(between) > between[~np.eye(3, dtype=bool)].max()).all()
    np.testing.assert_allclose(between, between.T, atol=0.011)


def test_a_classifier_of_folders_and_a_look_at_one_of_its_files(tmp_path: Path) -> None:
    printed = run(tmp_path, "classify_own_folders")
    assert "chance 33.3%" in printed
    for method in ("probe", "LoRA"):
        assert 50 < number(rf"{method} +accuracy +([\d.]+)%", printed) <= 100
    matrix = printed.split("columns: predicted)\n")[1]
    counts = [list(map(int, re.findall(r"\b\d+\b", line))) for line in matrix.splitlines()[1:4]]
    assert np.shape(counts) == (3, 3)
    assert np.sum(counts) == number(r"(\d+) windows held out", printed)
    share = 100 * np.trace(counts) / np.sum(counts)
    assert share == pytest.approx(number(r"LoRA +accuracy +([\d.]+)%", printed), abs=0.06)

    files = sorted((tmp_path / "runs/examples/captures").glob("*/*.csv"))
    assert len(files) == 36
    looked_at = run(tmp_path, "read_and_look", str(files[0]))
    assert "esp32_csv, kind csi" in looked_at
    assert "1 links x 56 responses" in looked_at


def test_lora_with_plain_peft_learns_and_loads_again(tmp_path: Path) -> None:
    printed = run(tmp_path, "lora_with_plain_peft")
    assert number(r"loss [\d.]+ -> ([\d.]+)", printed) < 0.8 * number(r"loss ([\d.]+) ->", printed)
    assert number(r"accuracy ([\d.]+)%", printed) > 45
    assert number(r"largest difference after loading: (\S+)", printed) < 1e-5
    assert (tmp_path / "runs/examples/peft_adapter/adapter_config.json").is_file()


def test_reconstruction_beside_interpolation(tmp_path: Path) -> None:
    printed = run(tmp_path, "reconstruct")
    rows = re.findall(r"^(random|a stretch|a band).*?(-\d+\.\d) +(-\d+\.\d)$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == ["random", "a stretch", "a band"]
    for _, model, linear in rows:
        assert -40 < float(model) < -5
        assert -40 < float(linear) < -5
    assert float(rows[0][1]) < float(rows[0][2]), "below interpolation where random patches are hidden"
