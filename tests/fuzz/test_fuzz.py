"""A short run of the scripts under tests/fuzz; docs/research/robustness.md has the commands of the long ones."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.tiny import environment

from foundation.readers import HEADERLESS, READERS, read

SCRIPT = ROOT / "tests" / "fuzz" / "readers.py"
RECIPES = ROOT / "tests" / "fuzz" / "recipes.py"
PAIRS = ROOT / "tests" / "fuzz" / "pairs.py"


def test_every_kind_of_recipe_survives_mutation() -> None:
    command = [sys.executable, str(RECIPES), "--count", "400", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "400 mutants, 0 problems" in done.stdout


@pytest.mark.slow
def test_two_of_the_same_command_at_once_mix_and_lose_nothing() -> None:
    quick = ["inspect", "build", "part", "merge", "pretrain", "finetune", "evaluate", "suite", "imputation", "study"]
    command = [sys.executable, str(PAIRS), *quick, "--pairs", "1", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count("1 pairs, 0 problems") == len(quick)


@pytest.mark.real
def test_every_reader_survives_mutated_captures(data_root: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(data_root), "--count", "30", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    survived = re.findall(r"^(\w+): 30 mutated files, 0 failures", done.stdout, re.MULTILINE)
    assert survived == [*READERS, *HEADERLESS]


def test_shard_directories_survive_mutations() -> None:
    command = [sys.executable, str(ROOT / "tests" / "fuzz" / "shards.py"), "--count", "15", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len(re.findall(r"^[\w-]+: 15 mutants, 0 failures", done.stdout, re.MULTILINE)) == 5


def test_exports_adapters_and_checkpoints_survive_mutations() -> None:
    command = [sys.executable, str(ROOT / "tests" / "fuzz" / "checkpoints.py"), "--count", "20", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len(re.findall(r"^20 mutants of [\w-]+, 0 failures", done.stdout, re.MULTILINE)) == 11


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("picoscenes", "captures/picoscenes/rx_8_211206_152319.csi"),
        ("feitcsi", "captures/feitcsi/HESU160_5500.csi"),
        ("nexmon", "captures/nexmon/example_4339.pcap"),
        ("esp32_npy", "stability-csi-har/02_LABELLED/D1/e01_rx_tx-x.npy"),
        ("decaranging", "uwb-cirs-2018/results/16.log.gz"),
        ("ble_rss", "ble-rss-fingerprints/calibration/calib1_df.csv"),
        ("esp32_csv", "captures/esp32/example_fast2_100hz_pitraffic.csv"),
        ("atheros", "captures/atheros/ath_csi_1.dat"),
        ("intel5300", "captures/intel5300/sample_0x5_64_3000.dat"),
    ],
)
def test_a_recording_takes_ten_times_its_size_at_most(data_root: Path, name: str, file: str) -> None:
    path = data_root / file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read(path, name)  # what is imported and compiled once does not count
        tracemalloc.start()
        try:
            signals = read(path, name)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert signals
    assert peak < 10 * path.stat().st_size
