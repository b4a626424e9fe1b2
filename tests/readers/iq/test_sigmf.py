"""SigMF: recordings and archives with known samples, inconsistent metadata, damaged files, and the real recordings."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.sigmf import SAMPLES, archive, meta_of, written
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import ReadError
from foundation.readers.iq import sigmf
from foundation.signal import Signal


def column(signal: Signal) -> list[complex]:
    return signal.values[:, 0, 0].tolist()


class TestRecording:
    def test_samples_and_provenance(self, tmp_path: Path) -> None:
        meta = meta_of(hw="USRP B210", license="https://spdx.org/licenses/CC0-1.0", author="me")
        (signal,) = sigmf.read(written(tmp_path, meta))
        np.testing.assert_array_equal(signal.values[:, 0, 0], SAMPLES)
        np.testing.assert_array_equal(signal.time_s, np.arange(12) * 1e-6)
        assert (signal.kind, signal.carrier_hz, signal.bandwidth_hz) == ("iq", 9e8, 1e6)
        assert (signal.device, signal.session, dict(signal.labels)) == ("USRP B210", "a", {})
        assert signal.licence.endswith("CC0-1.0")

    def test_interleaved_channels_become_links(self, tmp_path: Path) -> None:
        data = np.arange(-8, 8, dtype=">i2")
        (signal,) = sigmf.read(written(tmp_path, meta_of(datatype="ci16_be", num_channels=2), data.tobytes()))
        pairs = data.reshape(4, 2, 2) / 2**15
        np.testing.assert_allclose(signal.values[:, :, 0], pairs[..., 0] + 1j * pairs[..., 1])
        assert [(link.tx, link.rx) for link in signal.links] == [(0, 0), (0, 1)]

    def test_one_signal_per_capture(self, tmp_path: Path) -> None:
        captures = [{"sample_start": 0, "frequency": 1e8}, {"sample_start": 5, "frequency": 2e8}, {"sample_start": 9}]
        signals = sigmf.read(written(tmp_path, meta_of(captures)))
        assert [signal.carrier_hz for signal in signals] == [1e8, 2e8, 0]
        assert [column(signal) for signal in signals] == [
            SAMPLES[:5].tolist(),
            SAMPLES[5:9].tolist(),
            SAMPLES[9:].tolist(),
        ]
        assert [signal.time_s[0] for signal in signals] == [0, 0, 0]

    def test_no_captures_at_all(self, tmp_path: Path) -> None:
        meta = {**meta_of(), "captures": []}
        (signal,) = sigmf.read(written(tmp_path, meta))
        assert (len(signal.time_s), signal.carrier_hz) == (12, 0)

    def test_annotations_cut_and_label(self, tmp_path: Path) -> None:
        captures = [{"sample_start": 0}, {"sample_start": 6}]
        annotations = [
            {"sample_start": 2, "sample_count": 2, "label": "lora"},
            {"sample_start": 4, "label": "wifi"},  # to the end of its capture
            {"sample_start": 8, "sample_count": 4, "label": "wifi"},
            {"sample_start": 10, "sample_count": 1, "label": "wifi"},
            {"sample_start": 1, "sample_count": 1, "comment": "no label"},
        ]
        signals = sigmf.read(written(tmp_path, meta_of(captures, annotations)))
        found = [
            (int(signal.values[0, 0, 0].real), len(signal.time_s), signal.labels.get("label")) for signal in signals
        ]
        assert found == [
            (0, 2, None),
            (2, 2, "lora"),
            (4, 2, "wifi"),
            (6, 2, None),
            (8, 2, "wifi"),
            (10, 1, "wifi"),
            (11, 1, "wifi"),
        ]

    def test_overlapping_labels_are_left_out_with_a_warning(self, tmp_path: Path) -> None:
        annotations = [
            {"sample_start": 0, "sample_count": 8, "label": "lora"},
            {"sample_start": 4, "sample_count": 8, "label": "wifi"},
        ]
        with pytest.warns(UserWarning, match="1 segments have several labels"):
            signals = sigmf.read(written(tmp_path, meta_of(annotations=annotations)))
        assert [(len(signal.time_s), signal.labels.get("label")) for signal in signals] == [
            (4, "lora"),
            (4, None),
            (4, "wifi"),
        ]

    def test_indices_count_from_the_offset(self, tmp_path: Path) -> None:
        captures = [{"sample_start": 100}, {"sample_start": 104}]
        annotations = [{"sample_start": 102, "sample_count": 2, "label": "x"}]
        signals = sigmf.read(written(tmp_path, meta_of(captures, annotations, offset=100)))
        assert [len(signal.time_s) for signal in signals] == [2, 2, 8]
        assert signals[1].labels == {"label": "x"}

    def test_bytes_that_are_no_samples_are_stepped_over(self, tmp_path: Path) -> None:
        captures = [{"sample_start": 0, "header_bytes": 3}, {"sample_start": 5, "header_bytes": 2}]
        data = b"abc" + SAMPLES[:5].tobytes() + b"de" + SAMPLES[5:].tobytes() + b"tail"
        path = written(tmp_path, meta_of(captures, dataset="a.bin", trailing_bytes=4), b"")
        (tmp_path / "a.bin").write_bytes(data)
        first, second = sigmf.read(path)
        assert column(first) + column(second) == SAMPLES.tolist()

    def test_samples_before_the_first_capture(self, tmp_path: Path) -> None:
        annotations = [{"sample_start": 0, "sample_count": 6, "label": "x"}]
        with pytest.warns(UserWarning, match="the 4 samples before the first capture are dropped"):
            first, second = sigmf.read(written(tmp_path, meta_of([{"sample_start": 4}], annotations)))
        assert (column(first), first.labels) == (SAMPLES[4:6].tolist(), {"label": "x"})
        assert column(second) == SAMPLES[6:].tolist()

    def test_checksum(self, tmp_path: Path) -> None:
        good = hashlib.sha512(SAMPLES.tobytes()).hexdigest()
        assert len(sigmf.read(written(tmp_path, meta_of(sha512=good.upper())))) == 1
        with pytest.raises(ReadError, match="does not have the checksum core:sha512"):
            sigmf.read(written(tmp_path, meta_of(sha512=good), SAMPLES[::-1].tobytes()))

    def test_what_the_caller_gives_wins(self, tmp_path: Path) -> None:
        path = written(tmp_path, meta_of(sample_rate=None))
        with pytest.raises(ReadError, match=r"no usable core:sample_rate.*sample_rate_hz=RATE"):
            sigmf.read(path)
        assert sigmf.read(path, sample_rate_hz=10)[0].interval_s == pytest.approx(0.1)
        path = written(tmp_path, meta_of())
        with pytest.warns(UserWarning, match="says sample_rate_hz 1000000; the given 10 is used"):
            assert sigmf.read(path, sample_rate_hz=10)[0].interval_s == pytest.approx(0.1)
        with pytest.warns(UserWarning, match="says carrier_hz 900000000; the given 2400000000 is used"):
            assert sigmf.read(path, carrier_hz=2.4e9)[0].carrier_hz == 2.4e9
        with pytest.raises(ReadError, match="carrier_hz=nan was given; expected a finite number"):
            sigmf.read(path, carrier_hz=float("nan"))


class TestRefusals:
    @pytest.mark.parametrize(
        ("meta", "message"),
        [
            (b"", "is empty"),
            (b"\x00\x01\x02", "is not JSON"),
            (b'{"global": {"core:datatype": "cf32_le"', "is not JSON"),
            (b"[" * 100_000, "is not JSON"),
            (b"[]", "has no object 'global'"),
            (b'{"global": {}, "captures": 3}', "'captures' is not a list of objects"),
            (b'{"global": {}, "annotations": [3]}', "'annotations' is not a list of objects"),
            (b'{"global": {}}', "unknown datatype None"),
            (meta_of(datatype="xf32"), "unknown datatype 'xf32'"),
            (meta_of(datatype="cf16_le"), "unknown datatype 'cf16_le'"),
            (meta_of(datatype=["cf32_le"]), r"unknown datatype \['cf32_le'\]"),
            (meta_of(num_channels=0), "num_channels is 0"),
            (meta_of(num_channels=-1), "num_channels is -1; expected an integer"),
            (meta_of(num_channels=True), "num_channels is True"),
            (meta_of(num_channels=10**15), "hold 1.2e-14 samples"),
            (meta_of(sample_rate="fast"), "no usable core:sample_rate"),
            (meta_of(sample_rate=float("nan")), "no usable core:sample_rate"),
            (meta_of(sample_rate=10**400), "no usable core:sample_rate"),
            (meta_of(sample_rate=-5), "no usable core:sample_rate"),
            (meta_of(metadata_only=True), "metadata only"),
            (meta_of(dataset="../a.sigmf-data"), "expected the name of a file in the same folder, no path"),
            (meta_of(dataset="/etc/hostname"), "expected the name of a file in the same folder"),
            (meta_of(dataset=".."), "expected the name of a file in the same folder"),
            (meta_of(dataset=7), "core:dataset is 7"),
            (meta_of(dataset="b.bin"), "b.bin: there is no such file"),
            (meta_of(trailing_bytes=1000), "hold 0 samples"),
            (meta_of([{"sample_start": 0, "header_bytes": 2**62}]), "hold 0 samples"),
            (meta_of([{"sample_start": 0}, {"frequency": 1.0}]), "capture 1: core:sample_start is None"),
            (meta_of([{"sample_start": 1.5e300}]), "capture 0: core:sample_start is 1.5e.300; expected an integer"),
            (meta_of([{"sample_start": 12}]), "first capture starts at sample 12, .* hold 12 samples"),
            (
                meta_of([{"sample_start": 5}, {"sample_start": 3, "header_bytes": 8}]),
                "capture 1: core:sample_start is 3; expected more",
            ),
        ],
    )
    def test_metadata_that_lies_is_named(self, tmp_path: Path, meta: object, message: str) -> None:
        with pytest.raises(ReadError, match=message):
            sigmf.read(written(tmp_path, meta))

    def test_dataset_cut_missing_or_named_instead_of_the_metadata(self, tmp_path: Path) -> None:
        path = written(tmp_path, meta_of(), SAMPLES.tobytes()[:-3])
        with pytest.warns(UserWarning, match=r"the last sample is incomplete, 5 of 8 bytes, .* 11 are whole"):
            assert len(sigmf.read(path)[0].time_s) == 11
        with pytest.raises(ReadError, match=r"is not JSON .*; name the .sigmf-meta file"):
            sigmf.read(tmp_path / "a.sigmf-data")
        (tmp_path / "a.sigmf-data").unlink()
        with pytest.raises(ReadError, match=r"a.sigmf-data: there is no such file"):
            sigmf.read(path)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_any_value_anywhere_is_read_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        junk = st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(max_size=5),
            st.just([]),
            st.just({}),
            st.just([{}]),
        )
        annotations = [{"sample_start": 3, "sample_count": 4, "label": "x"}]
        meta: dict = meta_of([{"sample_start": 0}, {"sample_start": 6}], annotations, num_channels=1, offset=0)
        spots = [(meta, key) for key in meta] + [(meta["global"], key) for key in meta["global"]]
        spots += [(entry, key) for name in ("captures", "annotations") for entry in meta[name] for key in entry]
        spot, key = data.draw(st.sampled_from(spots))
        spot[key] = data.draw(junk)
        path = written(tmp_path_factory.mktemp("sigmf"), meta)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                signals = sigmf.read(path)
            except ReadError:
                return
        assert sum(len(signal.time_s) * len(signal.links) for signal in signals) <= 24


class TestArchive:
    def files(self) -> dict[str, bytes]:
        meta = json.dumps(meta_of()).encode()
        return {
            "a/a.sigmf-meta": meta,
            "a/a.sigmf-data": SAMPLES.tobytes(),
            "b/b.sigmf-meta": meta,
            "b/b.sigmf-data": SAMPLES[:3].tobytes(),
        }

    @pytest.mark.parametrize("packed", [False, True])
    def test_all_recordings_and_nothing_on_disk(self, tmp_path: Path, packed: bool) -> None:
        path = archive(tmp_path / "x.sigmf", **self.files())
        path.write_bytes(gzip.compress(path.read_bytes()) if packed else path.read_bytes())
        assert sigmf.sniff(path.read_bytes()[:4096])
        first, second = sigmf.read(path)
        assert (column(first), first.session) == (SAMPLES.tolist(), "a")
        assert (column(second), second.session) == (SAMPLES[:3].tolist(), "b")
        assert list(tmp_path.iterdir()) == [path]

    def test_names_that_point_outside_are_only_names(self, tmp_path: Path) -> None:
        inside = tmp_path / "inside"
        inside.mkdir()
        names = {f"../../{name}": content for name, content in self.files().items()}
        assert len(sigmf.read(archive(inside / "x.sigmf", **names))) == 2
        assert sorted(tmp_path.rglob("*")) == [inside, inside / "x.sigmf"]

    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(SAMPLES.tobytes())
        path = archive(tmp_path / "x.sigmf", **{"a.sigmf-meta": json.dumps(meta_of()).encode()})
        with tarfile.open(path, "a") as tar:
            link = tarfile.TarInfo("a.sigmf-data")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
            tar.addfile(link)
        with pytest.raises(ReadError, match=r"member a.sigmf-meta: its dataset is empty or not in the archive"):
            sigmf.read(path)

    @pytest.mark.filterwarnings("ignore:.*is incomplete")
    def test_of_a_cut_archive_the_whole_recordings_are_read(self, tmp_path: Path) -> None:
        whole = archive(tmp_path / "x.sigmf", **self.files()).read_bytes()
        content_end = whole.rindex(SAMPLES[:3].tobytes()) + 24
        path = tmp_path / "cut.sigmf"
        for size in [300, 511, 513, 700, 1024, 1030]:  # up to the first dataset
            path.write_bytes(whole[:size])
            with warnings.catch_warnings(), pytest.raises(ReadError):
                warnings.simplefilter("ignore")
                sigmf.read(path)
        for size, samples in [(1560, [3]), (2048, [12]), (2600, [12]), (3584, [12]), (content_end - 1, [12, 2])]:
            path.write_bytes(whole[:size])
            with pytest.warns(UserWarning, match=r"cut\.sigmf: the archive is truncated or damaged"):
                assert [len(signal.time_s) for signal in sigmf.read(path)] == samples

    def test_without_metadata(self, tmp_path: Path) -> None:
        with pytest.raises(ReadError, match=r"no member that ends in .sigmf-meta"):
            sigmf.read(archive(tmp_path / "x.sigmf", readme=b"hello"))

    def test_a_negative_size_does_not_loop(self, tmp_path: Path) -> None:
        data = bytearray(archive(tmp_path / "x.sigmf", **self.files()).read_bytes())
        second = data.index(b"a/a.sigmf-data")
        data[second + 124 : second + 136] = b"\xff" * 10 + b"\xfc\x00"  # base 256: -1024
        checksum = sum(data[second : second + 148]) + 8 * 32 + sum(data[second + 156 : second + 512])
        data[second + 148 : second + 156] = b"%06o\0 " % checksum
        (tmp_path / "y.sigmf").write_bytes(data)
        with pytest.raises(ReadError, match=r"member 'a/a.sigmf-data' of the archive claims -1024 bytes"):
            sigmf.read(tmp_path / "y.sigmf")

    def test_flipped_bytes_never_crash(self, tmp_path: Path) -> None:
        whole = archive(tmp_path / "x.sigmf", **self.files()).read_bytes()
        rng = np.random.default_rng(0)
        refused = 0
        for _ in range(300):
            data = bytearray(whole)
            data[int(rng.integers(3600))] = int(rng.integers(256))
            (tmp_path / "y.sigmf").write_bytes(data)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    assert sum(len(signal.time_s) for signal in sigmf.read(tmp_path / "y.sigmf")) <= 15
                except ReadError:
                    refused += 1
        assert refused > 50


class TestDetection:
    def test_by_content(self, tmp_path: Path) -> None:
        path = written(tmp_path, meta_of())
        assert sigmf.sniff(path.read_bytes())
        assert sigmf.sniff(b"\xef\xbb\xbf\n " + path.read_bytes())
        assert sigmf.sniff(archive(tmp_path / "x", **{"a/a.sigmf-meta": b"{}"}).read_bytes()[:4096])
        assert not sigmf.sniff(archive(tmp_path / "x", **{"a.signal.npy": b"{}"}).read_bytes()[:4096])
        assert not sigmf.sniff(b'{"global": 3}')
        assert not sigmf.sniff(SAMPLES.tobytes())


@pytest.mark.real
class TestRealRecordings:
    def test_integer_datetimes_are_warned_of_and_samples_are_exact(self, data_root: Path) -> None:
        path = data_root / "captures/sigmf/0x0.sigmf-meta"
        with pytest.warns(
            UserWarning, match="core:datetime is 4042322160 in 3 of 3 captures where SigMF has an ISO 8601"
        ):
            signals = sigmf.read(path, sample_rate_hz=1e6)
        assert [len(signal.time_s) for signal in signals] == [100, 600, 1000]
        assert {signal.carrier_hz for signal in signals} == {512.0}
        wanted = np.fromfile(path.with_suffix(".sigmf-data"), "<c8")
        np.testing.assert_array_equal(np.concatenate([signal.values[:, 0, 0] for signal in signals]), wanted)

    def test_later_part_of_a_split_recording_without_its_offset(self, data_root: Path) -> None:
        with (
            pytest.warns(UserWarning, match="core:datetime"),
            pytest.raises(
                ReadError, match=r"starts at sample \d+, .* hold 400 samples .* correct core:sample_start, core:offset"
            ),
        ):
            sigmf.read(data_root / "captures/sigmf/0x1.sigmf-meta", sample_rate_hz=1e6)

    def test_without_a_rate_the_error_says_how_to_give_it(self, data_root: Path) -> None:
        with pytest.warns(UserWarning, match="core:datetime"), pytest.raises(ReadError, match="sample_rate_hz="):
            sigmf.read(data_root / "captures/sigmf/0x0.sigmf-meta")

    def test_other_formats_beside_it(self, data_root: Path) -> None:
        assert not sigmf.sniff((data_root / "captures/sigmf/example.vita49").read_bytes()[:4096])
