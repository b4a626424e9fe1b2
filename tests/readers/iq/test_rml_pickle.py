"""RadioML pickles: of every protocol, of Python 2, and hostile ones, none of which may run or allocate anything."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import struct
import subprocess
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.rml_pickle import DATA, examples, python2_pickle
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import ReadError
from foundation.readers.arrays import array_pickle
from foundation.readers.iq import rml_pickle


def check(path: Path) -> None:
    assert rml_pickle.sniff(path.read_bytes()[:4096])
    signals = rml_pickle.read(path)
    assert len(signals) == 6
    wanted = [(key, parts) for key, array in DATA.items() for parts in array]
    for signal, ((modulation, snr), parts) in zip(signals, wanted, strict=True):
        np.testing.assert_array_equal(signal.values[:, 0, 0], parts[0] + 1j * parts[1])
        assert signal.labels == {"modulation": modulation, "snr": float(snr)}
    assert (signal.kind, signal.values.shape, signal.bandwidth_hz) == ("iq", (128, 1, 1), 200e3)
    assert signal.interval_s == pytest.approx(5e-6)


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_python_3(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "RML22.01A").write_bytes(pickle.dumps(DATA, protocol))
    check(tmp_path / "RML22.01A")


def test_python_2(tmp_path: Path) -> None:
    data = python2_pickle(DATA)
    assert pickle.loads(data, encoding="latin1").keys() == DATA.keys()  # the test's own writer is right
    (tmp_path / "RML2016.10a_dict.pkl").write_bytes(data)
    check(tmp_path / "RML2016.10a_dict.pkl")


@pytest.mark.parametrize(
    "array", [examples(3).astype(">f8"), np.asfortranarray(examples(3)), (examples(3) * 1e4).astype("i2")]
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_other_types_and_orders(tmp_path: Path, array: np.ndarray, protocol: int) -> None:
    (tmp_path / "a").write_bytes(pickle.dumps({("BPSK", np.int64(0)): array}, protocol))
    ((key, got),) = array_pickle.pairs(tmp_path / "a")
    assert key == ("BPSK", 0)
    np.testing.assert_array_equal(got, array)
    assert len(rml_pickle.read(tmp_path / "a")) == 3


class Runs:
    """Unpickling this calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


class TestHostile:
    @pytest.mark.parametrize("protocol", range(6))
    def test_nothing_runs(self, tmp_path: Path, protocol: int) -> None:
        proof = tmp_path / "it-ran"
        hostile = [
            Runs(os.system, f"touch {proof}"),
            Runs(subprocess.check_call, ["touch", str(proof)]),
            Runs(eval, f"open({str(proof)!r}, 'w')"),
            Runs(exec, f"open({str(proof)!r}, 'w')"),
            Runs(getattr, Path(str(proof)), "touch"),
            Runs(np.load, str(proof)),
            Runs(np.lib.format.open_memmap, str(proof), "w+"),
            Runs(bytearray, 10**12),
            Runs(np.ones, 10**12),
        ]
        for thing in hostile:
            for data in ({("BPSK", 0): thing}, {thing: examples(0)}, {("BPSK", thing): examples(0)}, thing):
                (tmp_path / "a").write_bytes(pickle.dumps(data, protocol))
                with pytest.raises(ReadError, match=r"a: at byte \d+, (it names '.*', which is not allowed|the instr)"):
                    rml_pickle.read(tmp_path / "a")
        assert not proof.exists()
        pickle.loads(pickle.dumps(hostile[0], protocol))
        assert proof.exists()  # they do run where they are unpickled

    @pytest.mark.parametrize("protocol", range(6))
    def test_objects_are_refused(self, tmp_path: Path, protocol: int) -> None:
        for value in (
            np.array([{}, None]),
            [1, 2],
            {1, 2},
            Path("x"),
            np.array(["text"]),
            np.zeros(3, "f4,f4"),
            1j,
            print,
        ):
            (tmp_path / "a").write_bytes(pickle.dumps({("BPSK", 0): value}, protocol))
            with pytest.raises(ReadError, match=r"a: "):
                rml_pickle.read(tmp_path / "a")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"\x80\x02(ios\nsystem\n.", "the instruction b'i'"),
            (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)\x81.", r"the instruction b'\\x81'"),
            (b"\x80\x02Pos.system\n.", "the instruction b'P'"),
            (b"\x80\x02\x82\x01.", r"the instruction b'\\x82'"),
            (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "it names 'os.system', which is not allowed"),
            (b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.__new\x93.", "it names 'numpy.ndarray.__new'"),
            (b"\x80\x04))\x93.", "expected a string, found tuple"),
            (b"\x80\x02cnumpy\nndarray\n(I3\ntR.", "it calls ndarray with 1 arguments"),
            (b"\x80\x02K\x01)R.", "calls something other than a function"),
            (b"\x80\x02}K\x01b.", "a state that is not that of an array"),
            (b"\x80\x02K\x01.", "the pickle does not build a dictionary"),
            (b"\x80\x02(K\x01K\x02K\x03u.", "."),
            (b"\x80\x02K\x01K\x02K\x03s.", "items are set in something other than a dictionary"),
            (b"\x80\x02t.", "a mark is missing"),
            (b"\x80\x02h\x07.", "entry 7 of the memo is not set"),
            (b"\x80\x02}", "ends 1 bytes too early"),
            (b"\x80\x02B\xff\xff\xff\xffab.", "bytes too early"),
            (b"\x80\x05\x8e" + b"\xff" * 8 + b".", "bytes too early"),
            (b"\x80\x02T\xff\xff\xff\xff.", "too early"),
            (b"(dp1\nS'abc", "ends within a line"),
            (b"(dp1\nSabc\n.", "a string has no quotes"),
            (b"(dp1\nI" + b"9" * 9999 + b"\n.", "Exceeds the limit"),
            (b".", "pop from empty list"),
        ],
    )
    def test_instructions_that_do_not_fit(self, tmp_path: Path, content: bytes, message: str) -> None:
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(ReadError, match=rf"a: at byte \d+, .*{message}"):
            array_pickle.pairs(tmp_path / "a")

    def test_memory_stays_in_proportion_to_the_file(self, tmp_path: Path) -> None:
        text = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\x00"
        again = b"c_codecs\nencode\nq\x01" + b"h\x01h\x00X\x06\x00\x00\x00latin1\x86R" * 2000
        deep = b"\x85" * 1_000_000
        memo = b"}" + b"".join(b"r" + struct.pack("<I", 2**32 - 1 - i) for i in range(1000)) + b"."
        for content in (b"\x80\x02" + text + again + b".", b"\x80\x02)" + deep + b".", b"\x80\x02" + memo):
            (tmp_path / "a").write_bytes(content)
            tracemalloc.start()
            with contextlib.suppress(ReadError):
                array_pickle.pairs(tmp_path / "a")
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 100 * len(content) + 1_000_000

    def test_deep_keys_do_not_overflow_the_stack(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"\x80\x02})" + b"\x85" * 1_000_000 + b"K\x01s.")
        with pytest.raises(ReadError, match="a key is not"):
            rml_pickle.read(tmp_path / "a")

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({"QPSK": examples(0)}, "a key is not"),
            ({("QPSK", "2"): examples(0)}, "a key is not"),
            ({("QPSK", float("nan")): examples(0)}, "a key is not"),
            ({(1, 2): examples(0)}, "a key is not"),
            ({("QPSK", 2): examples(0)[0]}, r"'QPSK' at 2 dB is \(2, 128\)"),
            ({("QPSK", 2): examples(0).swapaxes(1, 2)}, r"is \(3, 128, 2\)"),
            ({("QPSK", 2): 3}, "is int; expected an array"),
            ({("QPSK", 2): examples(0).astype(complex)}, "holds complex128; expected real numbers"),
        ],
    )
    def test_other_dictionaries_are_named(self, tmp_path: Path, data: dict[Any, Any], message: str) -> None:
        (tmp_path / "a").write_bytes(pickle.dumps(data, 4))
        with pytest.raises(ReadError, match=message):
            rml_pickle.read(tmp_path / "a")

    def test_of_every_cut_the_whole_entries_are_read(self, tmp_path: Path) -> None:
        for data in (python2_pickle(DATA), *(pickle.dumps(DATA, protocol) for protocol in (0, 2, 4, 5))):
            (tmp_path / "a").write_bytes(data)
            whole = [(signal.labels, signal.values) for signal in rml_pickle.read(tmp_path / "a")]
            most = 0
            for size in [*range(300), *range(300, len(data), 401), len(data) - 1]:
                (tmp_path / "a").write_bytes(data[:size])
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    try:
                        found = rml_pickle.read(tmp_path / "a")
                    except ReadError:
                        assert not most
                        continue
                assert re.search("a: is truncated .* entries are read", str(caught[0].message))
                assert most <= len(found) <= len(whole)
                most = len(found)
                for signal, (labels, values) in zip(found, whole, strict=False):
                    assert signal.labels == labels
                    np.testing.assert_array_equal(signal.values, values)
            assert most == len(whole)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_dictionary_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "a"
    path.write_bytes(b"\x80\x02}" + data)
    with contextlib.suppress(ReadError):
        assert isinstance(array_pickle.pairs(path), list)


@settings(max_examples=300, deadline=None)
@given(
    protocol=st.integers(0, 5),
    flips=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_changed_bytes_give_signals_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, protocol: int, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(pickle.dumps({("QPSK", 2): examples(0, 1)}, protocol))
    for at, value in flips:
        data[at % len(data)] = value
    path = tmp_path_factory.mktemp("flips") / "a"
    path.write_bytes(data)
    with contextlib.suppress(ReadError):
        assert all(signal.kind == "iq" for signal in rml_pickle.read(path))
