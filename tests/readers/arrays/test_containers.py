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


CSV = """\ufefftime;mac;"amp 0";"amp 1";rssi;class
12:00:01;aa:bb;1,5;2;-50;0
12:00:02;aa:bb;3;;-51;0
12:00:03;aa:bb;5;loud;-52;1
12:00:04;aa:bb;7;8;-53;1
12:00:05;aa:b"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(("delimiter", "end"), [(";", "\r\n"), (",", "\n"), ("\t", "\n")])
def test_tables_of_amplitudes(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    text = CSV if delimiter == ";" else CSV.replace(",", ".").replace(";", delimiter)
    (tmp_path / "a.csv").write_bytes(text.replace("\n", end).encode(encoding))
    given = layout(keys={"amplitude": "amp *"}, axes=["time", "response"], kind="csi-amplitude", interval_s=1.0)
    with pytest.warns(UserWarning) as caught:
        (signal,) = read(tmp_path / "a.csv", given)
    assert "left out 1 of 5 rows that do not have 6 whole fields, the last" in str(caught[0].message)
    assert "1 of 8 fields are not numbers and are taken as missing, the first in line 4, column 'amp 1'" in str(
        caught[1].message
    )
    np.testing.assert_array_equal(signal.values[:, 0].real, [[1.5, 2], [3, 0], [5, 0], [7, 8]])
    assert signal.mask[:, 0].tolist() == [[True, True], [True, False], [True, False], [True, True]]


def test_tables_by_row_with_labels_and_without_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a[0],a[1],class\n1,2,0\n3,4,1\n")
    labels = {"activity": {"key": "class", "classes": ["walk", "fall"]}}
    with pytest.raises(
        ReadError, match=r"no column is named 'b\*'; expected one of its columns \(a\[0\], a\[1\], class\)"
    ):
        read(tmp_path / "a.csv", layout(keys={"amplitude": "b*"}))
    given = layout(keys={"amplitude": "a[*"}, axes=["sample", "response"], kind="csi-amplitude", labels=labels)
    signals = read(tmp_path / "a.csv", given)
    assert [(signal.values.real.ravel().tolist(), signal.labels["activity"]) for signal in signals] == [
        ([1, 2], "walk"),
        ([3, 4], "fall"),
    ]
    (tmp_path / "b.txt").write_text("1\t2\t0\n3\t4\t1\n")
    (signal,) = read(
        tmp_path / "b.txt", layout(keys={"amplitude": "array"}, axes=["time", "response"], kind="csi-amplitude")
    )
    np.testing.assert_array_equal(signal.values[:, 0].real, [[1, 2, 0], [3, 4, 1]])


def test_labels_of_a_table_may_be_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a0,a1,what\n1,2,"walk"\n3,4,fall\n', "utf-8")
    labels = {"activity": {"key": "what", "categorical": True}}
    changes = {"keys": {"amplitude": "a*"}, "kind": "csi-amplitude", "labels": labels}
    signals = read(tmp_path / "a.csv", layout(axes=["sample", "response"], **changes))
    assert [signal.labels["activity"] for signal in signals] == ["walk", "fall"]
    with pytest.raises(
        ReadError, match=r"label activity .'what'. has 2 values, such as 'walk'; expected one for each of 1"
    ):
        read(tmp_path / "a.csv", layout(axes=["time", "response"], **changes))
    (tmp_path / "a.csv").write_text("a0,a1,what\n1,2,walk\n3,4,walk\n")
    (signal,) = read(tmp_path / "a.csv", layout(axes=["time", "response"], **changes))
    assert (signal.values.shape, signal.labels["activity"]) == ((2, 1, 2), "walk")


def test_formats_are_told_by_content(tmp_path: Path) -> None:
    for format in FORMATS:
        path = write_any(tmp_path / f"{format}.txt", format, {"H": np.ones(3)})
        assert containers.sniff(path.read_bytes()[:4096])
    assert not containers.sniff(b"a,b\n1,2")
    assert not containers.sniff(b"")
