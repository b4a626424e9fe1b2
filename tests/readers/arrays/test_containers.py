"""Containers of arrays: every format gives the same signals, keys, and detection by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.arrays import FORMATS, layout, normal, write_any

from foundation.errors import ReadError
from foundation.readers.arrays import containers
from foundation.readers.arrays.reader import read, stream
from foundation.signal import Link


@pytest.mark.parametrize("format", FORMATS)
def test_every_entry_lands_in_its_place(tmp_path: Path, format: str) -> None:
    field = normal(5, 4, 2, 3, 6)  # sample, response, rx, tx, time
    label = np.arange(10.0).reshape(5, 2)
    path = write_any(tmp_path / "no.ending", format, {"H": field, "place": label})
    given = layout(axes=["sample", "response", "rx", "tx", "time"], labels={"place": {"key": "place"}})
    signals = read(path, given)
    assert len(signals) == 5
    for sample, signal in enumerate(signals):
        wanted = field[sample].transpose(3, 1, 2, 0).reshape(6, 6, 4)
        np.testing.assert_allclose(signal.values, wanted, rtol=1e-6)
        assert signal.labels == {"place": (2.0 * sample, 2.0 * sample + 1)}
        assert signal.links == tuple(Link(t, r) for r in range(2) for t in range(3))
        assert signal.session == "no.ending".removesuffix(".ending")
    np.testing.assert_allclose(signal.time_s, np.arange(6) * 1e-3)
    np.testing.assert_allclose(signal.frequency_hz, [-22500, -7500, 7500, 22500])


def test_npy(tmp_path: Path) -> None:
    field = np.asfortranarray(normal(3, 4, 5))
    np.save(tmp_path / "a.npy", field)
    signals = read(tmp_path / "a.npy", layout(keys={"complex": "array"}))
    np.testing.assert_allclose(np.stack([s.values[:, 0] for s in signals]), field)


@pytest.mark.parametrize("format", FORMATS)
def test_small_blocks_give_the_same(tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_any(tmp_path / "a", format, {"H": normal(4, 7, 5).transpose(1, 0, 2)})
    given = layout(axes=["time", "sample", "response"])
    whole = read(path, given)
    monkeypatch.setattr("foundation.readers.arrays.reader._BLOCK_BYTES", 16 * 7 * 5 * 3)
    blocks = list(stream(path, given))
    assert len(blocks) == 4
    for a, b in zip(whole, blocks, strict=True):
        np.testing.assert_array_equal(a.values, b.values)


def test_nested_hdf5_key(tmp_path: Path) -> None:
    path = write_any(tmp_path / "a", "h5", {"group/H": normal(3, 4, 5)})
    assert len(read(path, layout(keys={"complex": "group/H"}))) == 3
    with pytest.raises(ReadError, match=r"no key 'group/G'; expected one of its keys \(group\)"):
        read(path, layout(keys={"complex": "group/G"}))
    with pytest.raises(ReadError, match="group is not an array"):
        read(path, layout(keys={"complex": "group"}))


@pytest.mark.parametrize("format", FORMATS)
def test_a_key_that_is_not_there(tmp_path: Path, format: str) -> None:
    path = write_any(tmp_path / "a", format, {"A1": np.ones(3), "A2": np.ones(3)})
    with pytest.raises(ReadError, match=r"a: there is no key 'H'; expected one of its keys \(A1, A2\)"):
        read(path, layout())
    with pytest.raises(ReadError, match=r"2 keys match 'A\*'"):
        read(path, layout(keys={"complex": "A*"}))


def test_formats_are_told_by_content(tmp_path: Path) -> None:
    for format in FORMATS:
        path = write_any(tmp_path / f"{format}.txt", format, {"H": np.ones(3)})
        assert containers.sniff(path.read_bytes()[:4096])
    assert not containers.sniff(b"a,b\n1,2")
    assert not containers.sniff(b"")
