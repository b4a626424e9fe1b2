"""The number of threads follows what the machine has free."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from foundation import machine


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("busy", "quota", "processes", "expected"),
    [
        ([0, 0, 0, 0], "max 100000", 1, 4),
        ([100, 90, 0, 10], "max 100000", 1, 2),
        ([100, 100, 100, 95], "max 100000", 1, 1),
        ([0, 0, 0, 0], "200000 100000", 1, 2),
        ([0, 10, 5, 5], "max 100000", 2, 2),
        ([0, 0, 0, 0], "max 100000", 8, 1),
    ],
)
def test_threads_are_a_fair_share_of_what_is_free(
    busy: list[float], quota: str, processes: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(machine, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(machine, "_own_cores", lambda: [0, 1, 2, 3])
    monkeypatch.setattr("psutil.cpu_percent", lambda interval, percpu: busy)
    said = machine.set_threads(None, processes)
    assert torch.get_num_threads() == expected
    assert said.startswith(f"{expected} CPU thread")
    assert "cores are free" in said


def test_the_user_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.set_threads(3) == "3 CPU threads (as asked)"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert machine.set_threads(None) == "2 CPU threads (OMP_NUM_THREADS)"
    assert torch.get_num_threads() == 2


def test_this_machine_can_be_looked_at() -> None:
    assert 0 <= machine.free_cores() <= machine.allowed_cores()
