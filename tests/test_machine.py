"""The number of threads follows what the machine has free."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from foundation import machine
from foundation.errors import RecipeError


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


@pytest.mark.parametrize(
    ("name", "cuda", "mps", "found"),
    [
        ("auto", 2, False, "cuda"),
        ("auto", 0, True, "cpu"),
        ("auto", 0, False, "cpu"),
        ("gpu", 1, False, "cuda"),
        ("gpu", 0, True, "mps"),
        ("cuda:1", 2, False, "cuda:1"),
        ("cuda:1", 1, False, None),
        ("cuda", 0, False, None),
        ("gpu", 0, False, None),
        ("mps", 0, False, None),
    ],
)
def test_a_device_is_there_or_one_sentence_says_that_it_is_not(
    name: str, cuda: int, mps: bool, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)
    if found is None:
        with pytest.raises(RecipeError, match=f"device: {name} is not there"):
            machine.device_of(name)
    else:
        assert machine.device_of(name) == torch.device(found)


def test_this_machine_can_be_looked_at() -> None:
    assert 0 <= machine.free_cores() <= machine.allowed_cores()
