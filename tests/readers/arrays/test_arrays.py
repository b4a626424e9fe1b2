"""Array containers and layouts: every published layout on small files, and files and layouts that are wrong."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from helpers import ROOT
from helpers.arrays import BASE, layout, normal, write_any, write_matlab73
from scipy.io import loadmat, savemat

import foundation
from foundation.errors import ReadError
from foundation.readers.arrays import containers
from foundation.readers.arrays.layouts import load_layout
from foundation.readers.arrays.reader import read, stream
from foundation.signal import Link

LAYOUTS = ROOT / "shards" / "layouts"


FORMATS = ["mat5", "mat5z", "mat73", "h5", "npz"]
PROCESS = {"mat73", "h5"}  # an error there costs a new process


class TestContainers:
    @pytest.mark.parametrize("format", FORMATS)
    def test_every_entry_lands_in_its_place(self, tmp_path: Path, format: str) -> None:
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

    def test_npy(self, tmp_path: Path) -> None:
        field = np.asfortranarray(normal(3, 4, 5))
        np.save(tmp_path / "a.npy", field)
        signals = read(tmp_path / "a.npy", layout(keys={"complex": "array"}))
        np.testing.assert_allclose(np.stack([s.values[:, 0] for s in signals]), field)

    @pytest.mark.parametrize("format", FORMATS)
    def test_small_blocks_give_the_same(self, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_any(tmp_path / "a", format, {"H": normal(4, 7, 5).transpose(1, 0, 2)})
        given = layout(axes=["time", "sample", "response"])
        whole = read(path, given)
        monkeypatch.setattr("foundation.readers.arrays.reader._BLOCK_BYTES", 16 * 7 * 5 * 3)
        blocks = list(stream(path, given))
        assert len(blocks) == 4
        for a, b in zip(whole, blocks, strict=True):
            np.testing.assert_array_equal(a.values, b.values)

    @pytest.mark.parametrize("compress", [False, True])
    @pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16", "?"])
    def test_matlab_5_numbers_of_every_type(self, tmp_path: Path, dtype: str, compress: bool) -> None:
        array = (normal(2, 3, 4, 5) * 50).astype(dtype) if dtype[0] == "c" else (normal(2, 3).real * 50).astype(dtype)
        savemat(tmp_path / "a.mat", {"text": "before", "H": array, "x": 3.0}, do_compression=compress)
        with containers.open_container(tmp_path / "a.mat") as container:
            assert list(container.keys) == ["text", "H", "x"]
            np.testing.assert_array_equal(container.array("H").whole(), array)
            assert container.array("x").whole().tolist() == [[3.0]]

    @pytest.mark.real
    def test_matlab_5_files_of_matlab_itself(self, data_root: Path) -> None:
        files = sorted((data_root / "captures" / "matlab_reference").glob("*/*.mat"))
        compared = 0
        for file in files:
            wanted = loadmat(file)
            with containers.open_container(file) as container:
                assert set(container.keys) == {key for key in wanted if not key.startswith("__")}
                for key in container.keys:
                    if wanted[key].dtype.kind in "iufc":
                        np.testing.assert_array_equal(container.array(key).whole(), wanted[key])
                        compared += 1
        assert compared > 0

    def test_nested_hdf5_key(self, tmp_path: Path) -> None:
        path = write_any(tmp_path / "a", "h5", {"group/H": normal(3, 4, 5)})
        assert len(read(path, layout(keys={"complex": "group/H"}))) == 3
        with pytest.raises(ReadError, match=r"no key 'group/G'; expected one of its keys \(group\)"):
            read(path, layout(keys={"complex": "group/G"}))
        with pytest.raises(ReadError, match="group is no array"):
            read(path, layout(keys={"complex": "group"}))

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_key_that_is_not_there(self, tmp_path: Path, format: str) -> None:
        path = write_any(tmp_path / "a", format, {"A1": np.ones(3), "A2": np.ones(3)})
        with pytest.raises(ReadError, match=r"a: there is no key 'H'; expected one of its keys \(A1, A2\)"):
            read(path, layout())
        with pytest.raises(ReadError, match=r"2 keys fit 'A\*'"):
            read(path, layout(keys={"complex": "A*"}))


class TestParts:
    field = normal(2, 3, 4, seed=1)

    @pytest.mark.parametrize(
        ("keys", "arrays", "axes"),
        [
            ({"real": "a", "imag": "b"}, {"a": field.real, "b": field.imag}, None),
            ({"amplitude": "a", "phase": "b"}, {"a": np.abs(field), "b": np.angle(field)}, None),
            ({"parts": "a"}, {"a": np.stack([field.real, field.imag], 1)}, ["sample", "part", "time", "response"]),
        ],
    )
    def test_ways_to_store_a_complex_field(
        self, tmp_path: Path, keys: dict[str, str], arrays: dict[str, np.ndarray], axes: list[str] | None
    ) -> None:
        path = write_any(tmp_path / "a", "npz", arrays)
        signals = read(path, layout(keys=keys, axes=axes or BASE["axes"]))
        np.testing.assert_allclose(np.stack([s.values[:, 0] for s in signals]), self.field, atol=1e-6)
        assert not signals[0].is_real

    def test_amplitude_in_decibels(self, tmp_path: Path) -> None:
        decibels = np.array([[[0.0, 20.0, -np.inf, 40.0]]])
        path = write_any(tmp_path / "a", "npz", {"H": decibels})
        (signal,) = read(path, layout(keys={"amplitude": "H"}, unit="decibel", scale=2.0, kind="csi-amplitude"))
        np.testing.assert_allclose(signal.values[0, 0], [2, 20, 0, 200])
        assert signal.mask[0, 0].tolist() == [True, True, False, True]
        assert signal.is_real

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
    def test_what_is_not_finite_in_either_part_is_invalid(self, tmp_path: Path, bad: float) -> None:
        real, imag = np.ones((2, 1, 5)), np.ones((2, 1, 5))
        real[0, 0, 1], imag[0, 0, 3] = bad, bad
        path = write_any(tmp_path / "a", "npz", {"r": real, "i": imag})
        first, second = read(path, layout(keys={"real": "r", "imag": "i"}))
        assert first.mask[0, 0].tolist() == [True, False, True, False, True]
        assert second.mask.all()

    def test_samples_without_an_entry_are_left_out_with_a_warning(self, tmp_path: Path) -> None:
        field = normal(3, 2, 4)
        field[1] = np.nan
        path = write_any(tmp_path / "a", "npz", {"H": field, "y": np.arange(3)})
        with pytest.warns(UserWarning, match="a: H: left out 1 of 3 samples"):
            signals = read(path, layout(labels={"y": {"key": "y", "categorical": True}}))
        assert [signal.labels["y"] for signal in signals] == ["0", "2"]
        with pytest.raises(ReadError, match="no entry is a finite number"):
            read(write_any(tmp_path / "b", "npz", {"H": field[1:2]}), layout())

    def test_delay_domain(self, tmp_path: Path) -> None:
        path = write_any(tmp_path / "a", "npz", {"H": normal(1, 1, 4)})
        (signal,) = read(path, layout(domain="delay", bandwidth_hz=1e8, kind="cir"))
        np.testing.assert_allclose(signal.delay_s, np.arange(4) * 1e-8)
        (signal,) = read(path, layout(domain="delay", step_s=2e-9, kind="cir"))
        np.testing.assert_allclose(signal.delay_s, np.arange(4) * 2e-9)

    def test_iq_without_a_response_axis(self, tmp_path: Path) -> None:
        path = write_any(tmp_path / "a", "npz", {"H": normal(2, 9)})
        signals = read(path, layout(axes=["sample", "time"], kind="iq", spacing_hz=None, bandwidth_hz=1e6))
        assert [signal.values.shape for signal in signals] == [(9, 1, 1)] * 2
        assert signals[0].frequency_hz is not None
        assert signals[0].frequency_hz.tolist() == [0.0]


class TestPublishedLayouts:
    def test_every_layout_file_is_valid_and_tested(self) -> None:
        names = {path.stem for path in LAYOUTS.glob("*.yaml")}
        own = {"ntu-fi", "ut-har", "mm-fi", "csi-bench", "wifo", "hetercsi", "contrawimae"}
        assert names == own | {"signfi", "xrf55", "radioml-2018"}  # the latter in the tests of their data sets
        for name in names:
            load_layout(LAYOUTS / f"{name}.yaml")

    def test_ntu_fi(self, tmp_path: Path) -> None:
        decibels = np.random.default_rng(0).normal(42, 5, (342, 2000))
        path = tmp_path / "NTU-Fi_HAR" / "train_amp" / "box" / "box1.mat"
        path.parent.mkdir(parents=True)
        savemat(path, {"CSIamp": decibels})
        (signal,) = read(path, load_layout(LAYOUTS / "ntu-fi.yaml"))
        assert signal.values.shape == (2000, 3, 114)
        wanted = 10 ** (decibels.reshape(3, 114, 2000).transpose(2, 0, 1) / 20)
        np.testing.assert_allclose(signal.values, wanted, rtol=1e-5)
        assert (signal.labels, signal.session) == ({"class": "box"}, "train_amp-box-box1")
        assert (signal.kind, signal.is_real, [link.rx for link in signal.links]) == ("csi-amplitude", True, [0, 1, 2])
        assert signal.frequency_hz is not None
        np.testing.assert_array_equal(signal.frequency_hz[[0, 56, 57, 113]] / 312500, [-58, -2, 2, 58])

    @pytest.mark.parametrize("shape", [(4, 1, 250, 90), (4, 250, 90)])
    def test_ut_har(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        field = np.random.default_rng(0).uniform(1, 20, shape)
        for folder, name, array in (("data", "X_val", field), ("label", "y_val", np.array([6.0, 0, 3, 3]))):
            (tmp_path / "UT_HAR" / folder).mkdir(parents=True)
            with (tmp_path / "UT_HAR" / folder / f"{name}.csv").open("wb") as raw:
                np.save(raw, array)
        signals = read(tmp_path / "UT_HAR/data/X_val.csv", load_layout(LAYOUTS / "ut-har.yaml"))
        assert [signal.labels for signal in signals] == [{"activity": text} for text in "6033"]
        for signal, wanted in zip(signals, field.reshape(4, 250, 3, 30), strict=True):
            np.testing.assert_allclose(signal.values, wanted, rtol=1e-6)
        assert signal.frequency_hz is not None
        assert (signal.frequency_hz[[0, 14, 15, 29]] / 312500).tolist() == [-28, -1, 1, 28]

    def test_mm_fi(self, tmp_path: Path) -> None:
        amplitude = np.random.default_rng(0).normal(40, 5, (3, 114, 10))
        phase = np.random.default_rng(1).uniform(-np.pi, np.pi, (3, 114, 10))
        amplitude[0, 5, 2], amplitude[1, 6, 3], phase[2, 7, 4] = -np.inf, np.nan, np.nan
        path = tmp_path / "E01" / "S03" / "A12" / "wifi-csi" / "frame007.mat"
        path.parent.mkdir(parents=True)
        savemat(path, {"CSIamp": amplitude, "CSIphase": phase})
        (signal,) = read(path, load_layout(LAYOUTS / "mm-fi.yaml"))
        assert sorted(map(tuple, np.argwhere(~signal.mask).tolist())) == [(2, 0, 5), (3, 1, 6), (4, 2, 7)]
        wanted = (10 ** (amplitude / 20) * np.exp(1j * phase)).transpose(2, 0, 1)
        np.testing.assert_allclose(signal.values[signal.mask], wanted[signal.mask], rtol=1e-5)
        assert (signal.environment, signal.subject, signal.session) == ("E01", "S03", "E01-S03-A12")
        assert signal.labels == {"activity": "A12"}

    def test_csi_bench(self, tmp_path: Path) -> None:
        path = tmp_path / "tasks/HumanActivityRecognition/sub_Human/user_U07/act_walking/dev_2/session_1.h5"
        path.parent.mkdir(parents=True)
        field = np.random.default_rng(0).uniform(0, 9, (500, 232, 1))
        write_any(path, "h5", {"CSI_amps": field})
        (signal,) = read(path, load_layout(LAYOUTS / "csi-bench.yaml"))
        np.testing.assert_allclose(signal.values[:, 0], field[..., 0], rtol=1e-6)
        assert (signal.subject, signal.labels) == ("user_U07", {"activity": "act_walking"})
        assert signal.interval_s == pytest.approx(0.01)

    @pytest.mark.parametrize("format", ["mat5", "mat73"])
    def test_wifo(self, tmp_path: Path, format: str) -> None:
        field = normal(3, 24, 4, 128)
        path = write_any(tmp_path / "X_test.mat", format, {"X_val": field})
        given = load_layout(LAYOUTS / "wifo.yaml", carrier_hz=1.5e9, spacing_hz=90e3, interval_s=1e-3)
        signals = read(path, given)
        np.testing.assert_allclose(np.stack([signal.values for signal in signals]), field, rtol=1e-6)
        assert {link.tx for link in signals[0].links} == {0, 1, 2, 3}
        assert (signals[0].carrier_hz, signals[0].interval_s) == (1.5e9, pytest.approx(1e-3))
        with pytest.raises(ReadError, match="24 times but the layout has no interval_s"):
            read(path, load_layout(LAYOUTS / "wifo.yaml"))
        with pytest.raises(ReadError, match="128 responses but the layout has no spacing_hz"):
            read(path, load_layout(LAYOUTS / "wifo.yaml", interval_s=1e-3))

    def test_hetercsi(self, tmp_path: Path) -> None:
        field = normal(5, 24, 64, 8)
        (tmp_path / "D10").mkdir()
        speed = np.array([[36.0], [72], [108], [3.6], [18]])
        path = write_matlab73(tmp_path / "D10/val_data.mat", {"H_val": field, "speed_val": speed})
        with h5py.File(path) as file:
            assert file["H_val"].shape == (8, 64, 24, 5)  # (U, K, T, B), as published
        config = {"fc": 4.9e9, "K": 64.0, "delta_f": 180e3, "T": 24.0, "delta_t": 5e-4, "UPA": [[2.0, 4.0]]}
        savemat(tmp_path / "D10/config.mat", config | {"scenario": "3GPP_38.901_RMa_LOS"})
        signals = read(path, load_layout(LAYOUTS / "hetercsi.yaml"))
        np.testing.assert_allclose(
            np.stack([signal.values for signal in signals]), field.transpose(0, 1, 3, 2), rtol=1e-6
        )
        assert [signal.labels["speed"] for signal in signals] == pytest.approx([10, 20, 30, 1, 5])
        assert (signals[0].carrier_hz, signals[0].interval_s) == (4.9e9, pytest.approx(5e-4))
        assert signals[0].frequency_hz is not None
        np.testing.assert_allclose(np.diff(signals[0].frequency_hz), 180e3)
        assert (signals[0].environment, signals[0].session) == ("D10", "D10-val_data")

    def test_contrawimae(self, tmp_path: Path) -> None:
        field = normal(3, 1, 32, 16)
        path = write_any(tmp_path / "city.npz", "npz", {"channels": field})
        signals = read(path, load_layout(LAYOUTS / "contrawimae.yaml", bandwidth_hz=20e6))
        np.testing.assert_array_equal(np.stack([signal.values for signal in signals]), field)
        assert signals[0].frequency_hz is not None
        np.testing.assert_allclose(np.diff(signals[0].frequency_hz), 20e6 / 16)


class TestMisfits:
    @pytest.mark.parametrize(
        ("shape", "changes", "message"),
        [
            ((3, 4), {}, r"a: H: has shape \(3, 4\); expected 3 axes in \[sample, time, response\]"),
            (
                (3, 4, 5),
                {"sizes": {"response": 6}},
                r"expected response of length 6 in \[sample, time, response \(6\)\]",
            ),
            ((3, 4, 0), {}, "expected response of length n"),
            ((3, 4, 7), {"axes": ["sample", "time", "rx*response"], "sizes": {"rx": 3}}, r"of length n \* 3"),
            ((3, 4, 6), {"axes": ["sample", "time", "rx*response"]}, "sizes of all but one of rx, response"),
            ((3, 4, 5), {"axes": ["1", "time", "response"]}, "expected 1 of length 1"),
            ((3, 4, 5), {"subcarriers": [[-2, -1], [1, 2]]}, "has 5 responses; expected the 4 subcarriers"),
            ((3, 4, 5), {"interval_s": None}, "4 times but the layout has no interval_s"),
            ((3, 4, 5), {"domain": "delay", "kind": "cir"}, "no step_s or bandwidth_hz"),
            ((3, 4, 5), {"carrier_hz": {"key": "y"}}, r"carrier_hz is .* in 'y'; expected one finite number"),
            ((3, 4, 5), {"labels": {"place": {"key": "y"}}}, r"label place \('y'\) is float64 \(2,\)"),
            ((3, 4, 5), {"labels": {"place": {"key": "z"}}}, r"label place \('z'\) of sample 1 is not a finite"),
            ((3, 4, 5), {"keys": {"amplitude": "H", "phase": "y"}}, "expected one shape for all"),
            ((3, 4, 5), {"keys": {"complex": "text"}}, "text holds <U2 entries; expected numbers"),
            ((3, 4, 5), {"keys": {"complex": "objects"}}, "objects holds object entries; .*objects are never read"),
            ((3, 4, 5), {"path": r"(?P<session>\d+)/a"}, "the path does not end as"),
            ((3, 4, 5), {"carrier_hz": {"file": "{_x}.npy", "key": "array"}}, "'{_x}.npy' names a group"),
            ((3, 4, 5), {"carrier_hz": {"file": "gone.npy", "key": "array"}}, "gone.npy: there is no such file"),
        ],
    )
    def test_a_file_that_does_not_fit_says_so(
        self, tmp_path: Path, shape: tuple[int, ...], changes: dict[str, Any], message: str
    ) -> None:
        extra = {"y": np.ones(2), "z": np.array([1, np.nan, 2]), "text": np.array(["ab"]), "objects": np.array([{}])}
        path = write_any(tmp_path / "a", "npz", {"H": normal(*shape)} | extra)
        with pytest.raises(ReadError, match=message):
            read(path, layout(**changes))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"spacing": 3}, r"unknown key 'spacing'; did you mean 'spacing_hz'\? Known here: about"),
            ({"keys": {"amplitud": "H"}}, "unknown key 'keys.amplitud'; did you mean 'amplitude'"),
            ({"carrier_hz": {"kex": "H"}}, "unknown key 'carrier_hz.kex'; did you mean 'key'"),
            ({"labels": {"y": {"key": "y", "fil": "x"}}}, "unknown key 'labels.y.fil'; did you mean 'file'"),
            ({"keys": {"real": "H"}}, "keys: expected one of: complex; imag and real; parts"),
            ({"keys": {}}, "keys: expected one of: complex"),
            ({"axes": ["sample", "frequency"]}, "axis 'frequency'; expected one of sample, time"),
            ({"axes": ["time*sample", "response"]}, "'sample' cannot be joined"),
            ({"axes": ["time", "time"]}, "name one axis twice"),
            ({"axes": ["link", "rx"]}, "'link' beside 'tx' or 'rx'"),
            ({"axes": ["time", "part"]}, "'part' goes with keys.parts"),
            ({"sizes": {"width": 3}}, "axis 'width'"),
            ({"kind": "wifi"}, r"kind: expected one of csi, .* \(got 'wifi'\)"),
            ({"subcarriers": [[2, 1]]}, "subcarriers: expected ranges"),
            ({"path": "("}, "path: expected a regular expression"),
            ({"carrier_hz": "high"}, r"carrier_hz: .* valid number.* \(got 'high'\)"),
            ({"about": None}, "about: .*valid string"),
        ],
    )
    def test_a_layout_that_is_wrong_says_so(self, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
        (tmp_path / "a.yaml").write_text(yaml.safe_dump(BASE | changes))
        with pytest.raises(ReadError, match=r"a\.yaml: .*" + message):
            load_layout(tmp_path / "a.yaml")

    @pytest.mark.parametrize(
        ("content", "message"),
        [("a: [", "is not valid YAML"), ("- 1", "expected a mapping"), ("\x00", "not valid YAML")],
    )
    def test_what_is_no_layout(self, tmp_path: Path, content: str, message: str) -> None:
        (tmp_path / "a.yaml").write_text(content)
        with pytest.raises(ReadError, match=message):
            load_layout(tmp_path / "a.yaml")
        with pytest.raises(ReadError, match="no such layout"):
            load_layout(tmp_path / "b.yaml")


class TestHostileFiles:
    @pytest.mark.parametrize(
        "content", [b"", b"a,b\n1,2\n", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + bytes(99), b"\x93NUMPY"]
    )
    def test_what_is_no_container(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(ReadError, match=r"is empty|is no array file|is truncated or damaged"):
            read(tmp_path / "a", layout())

    @pytest.mark.parametrize("kind", ["cell array", "structure", "character array", "sparse array"])
    def test_matlab_objects_are_not_built(self, tmp_path: Path, kind: str) -> None:
        from scipy.sparse import csc_matrix

        cell = np.empty(2, object)
        cell[:] = [np.ones(2), "x"]
        values = {
            "cell array": cell,
            "structure": {"a": 1},
            "character array": "text",
            "sparse array": csc_matrix(np.eye(3)),
        }
        savemat(tmp_path / "a.mat", {"H": values[kind]})
        with pytest.raises(ReadError, match=f"H is a MATLAB {kind}; expected numbers"):
            read(tmp_path / "a.mat", layout())

    def test_pickled_npy_is_refused(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.array([{"a": 1}]), allow_pickle=True)
        with pytest.raises(ReadError, match="holds object entries; expected numbers, objects are never read"):
            read(tmp_path / "a.npy", layout(keys={"complex": "array"}))

    @pytest.mark.parametrize("format", ["npy", "npz"])
    def test_a_header_that_claims_too_much_allocates_nothing(self, tmp_path: Path, format: str) -> None:
        for shape, message in (((10**6, 10**6, 10**3), "claims shape"), ((3, 4, 50), "expected 4800 for shape")):
            raw = io.BytesIO()
            np.lib.format.write_array_header_1_0(raw, {"descr": "<c8", "fortran_order": False, "shape": shape})
            raw.write(bytes(64))
            path = tmp_path / f"a.{format}"
            if format == "npy":
                path.write_bytes(raw.getvalue())
            else:
                with zipfile.ZipFile(path, "w") as archive:
                    archive.writestr("array.npy", raw.getvalue())
            with pytest.raises(ReadError, match=message):
                read(path, layout(keys={"complex": "array"}))

    def test_a_header_that_claims_to_be_long_allocates_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npy"
        path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 30) + b"{'descr': '<c8'," + bytes(99))
        tracemalloc.start()
        try:
            with pytest.raises(ReadError, match=r"a\.npy: is truncated or damaged"):
                read(path, layout(keys={"complex": "array"}))
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()

    def test_hdf5_that_claims_too_much_allocates_nothing(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "a", "w") as file:
            file.create_dataset("H", (10**6, 10**4, 10**3), "c8", chunks=(1, 100, 100))
        with pytest.raises(ReadError, match=r"H claims shape \(1000000, 10000, 1000\)"):
            read(tmp_path / "a", layout())

    def test_hdf5_that_is_damaged_within_says_how(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "a", "w") as file:
            data = file.create_dataset("H", data=normal(3, 4, 5), chunks=(3, 4, 5), compression="gzip")
            at = data.id.get_chunk_info(0).byte_offset
        changed = bytearray((tmp_path / "a").read_bytes())
        changed[at : at + 8] = bytes(8)
        (tmp_path / "a").write_bytes(changed)
        with pytest.raises(ReadError, match=r"a: is truncated or damaged \(.*(filter|inflate)"):
            read(tmp_path / "a", layout())

    def test_hdf5_does_not_lead_to_other_files(self, tmp_path: Path) -> None:
        write_any(tmp_path / "secret.h5", "h5", {"H": normal(3, 4, 5)})
        (tmp_path / "secret.bin").write_bytes(normal(3, 4, 5).tobytes())
        virtual = h5py.VirtualLayout((3, 4, 5), "c8")
        virtual[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "H", (3, 4, 5))
        with h5py.File(tmp_path / "a", "w") as file:
            file["link"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "H")
            file.create_dataset("raw", (3, 4, 5), "c8", external=[(str(tmp_path / "secret.bin"), 0, 480)])
            file.create_virtual_dataset("virtual", virtual)
        for key in ("link", "raw", "virtual"):
            with pytest.raises(ReadError, match=f"{key} points to another file, which is not followed"):
                read(tmp_path / "a", layout(keys={"complex": key}))

    @pytest.mark.parametrize("format", [*FORMATS, "npy"])
    def test_cut_files_are_named(self, tmp_path: Path, format: str) -> None:
        path = tmp_path / "whole"
        if format == "npy":
            with path.open("wb") as raw:
                np.save(raw, normal(4, 5, 6))
        else:
            write_any(path, format, {"H": normal(4, 5, 6)})
        data = path.read_bytes()
        given = layout(keys={"complex": "array" if format == "npy" else "H"})
        assert len(read(path, given)) == 4
        cuts = 6 if format in PROCESS else 60
        for size in [*range(0, len(data) - 1, max(1, len(data) // cuts)), len(data) - 1]:
            (tmp_path / "cut").write_bytes(data[:size])
            with pytest.raises(ReadError, match=r"cut: (is|the MATLAB element|array|there is no key)"):
                read(tmp_path / "cut", given)

    @pytest.mark.parametrize("format", [*FORMATS, "npy"])
    def test_flipped_bytes_give_signals_or_a_clear_error(self, tmp_path: Path, format: str) -> None:
        path = tmp_path / "whole"
        if format == "npy":
            with path.open("wb") as raw:
                np.save(raw, normal(2, 2, 2))
        else:
            write_any(path, format, {"H": normal(2, 2, 2)})
        data, refused = path.read_bytes(), 0
        given = layout(keys={"complex": "array" if format == "npy" else "H"})
        rng = np.random.default_rng(0)
        for _ in range(20 if format in PROCESS else 200):
            changed = bytearray(data)
            for at in rng.integers(len(data), size=3):
                changed[at] = int(rng.integers(256))
            (tmp_path / "a").write_bytes(changed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    for signal in read(tmp_path / "a", given):
                        assert np.isfinite(signal.values).all()
                except ReadError:
                    refused += 1
        assert refused > 2

    def test_formats_are_told_by_content(self, tmp_path: Path) -> None:
        for format in FORMATS:
            path = write_any(tmp_path / f"{format}.txt", format, {"H": np.ones(3)})
            assert containers.sniff(path.read_bytes()[:4096])
        assert not containers.sniff(b"a,b\n1,2")
        assert not containers.sniff(b"")


def test_an_array_of_unknown_meaning_is_told_how_it_can_be_read(tmp_path: Path) -> None:
    for name, array in [("taps", np.zeros((5, 128), np.complex64)), ("cube", np.zeros((5, 16, 32)))]:
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(ReadError, match="read by the format 'arrays', with a layout"):
            foundation.read(tmp_path / f"{name}.npy")
