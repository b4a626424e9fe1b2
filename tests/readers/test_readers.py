"""Readers: hand-made files with known numbers, malformed files, and the real recordings."""

from __future__ import annotations

import gzip
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.intel5300 import HT20, intel_record, random_csi, written

from foundation import readers
from foundation.errors import ReadError
from foundation.readers.uwb import decaranging
from foundation.readers.wifi import esp32_npy, intel5300

HT40 = 0x0901


class TestIntel5300:
    def test_every_integer_lands_on_its_antenna_and_subcarrier(self, tmp_path: Path) -> None:
        csi = [random_csi(seed, rx=3, tx=2) for seed in range(3)]
        order = (2, 0, 1)
        payload = b"\x00\x05\xc1abcd"
        records = [intel_record(c, 1000 * i, order) for i, c in enumerate(csi)]
        path = written(tmp_path / "a.dat", records[0], payload, *records[1:])
        signal = intel5300.read(path, carrier_hz=5.32e9)
        assert signal.values.shape == (3, 6, 30)
        assert [(link.rx, link.tx) for link in signal.links] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
        for packet in range(3):
            for chain, port in enumerate(order):
                for tx in range(2):
                    np.testing.assert_array_equal(signal.values[packet, 2 * port + tx], csi[packet][:, chain, tx])
        np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)
        assert (signal.carrier_hz, signal.bandwidth_hz, signal.kind) == (5.32e9, 20e6, "csi")

    def test_subcarriers_are_those_of_the_standard(self, tmp_path: Path) -> None:
        signal = intel5300.read(written(tmp_path / "a.dat", intel_record(random_csi(0), 7)))
        assert signal.frequency_hz is not None
        index = (signal.frequency_hz / 312_500).astype(int).tolist()
        assert len(index) == 30
        assert index[:2] + index[12:17] + index[-2:] == [-28, -26, -4, -2, -1, 1, 3, 27, 28]

    def test_forty_megahertz_undoes_the_quarter_turn_of_the_upper_half(self, tmp_path: Path) -> None:
        csi = random_csi(1)
        signal = intel5300.read(written(tmp_path / "a.dat", intel_record(csi, 7, rate=HT40)))
        assert signal.frequency_hz is not None
        index = (signal.frequency_hz / 312_500).astype(int).tolist()
        assert index == [*range(-58, 0, 4), *range(2, 59, 4)]
        assert signal.bandwidth_hz == 40e6
        np.testing.assert_array_equal(signal.values[0, 1, :15], csi[:15, 1, 0])
        np.testing.assert_array_equal(signal.values[0, 1, 15:], -1j * csi[15:, 1, 0])

    @pytest.mark.parametrize("order", [(0, 2, 1), (0, 1, 2), (2, 1, 0)])
    def test_fewer_than_three_antennas_leave_no_holes(self, tmp_path: Path, order: tuple[int, ...]) -> None:
        csi = random_csi(2, rx=2)
        signal = intel5300.read(written(tmp_path / "a.dat", intel_record(csi, 7, order)))
        np.testing.assert_array_equal(signal.values[0], csi[:, :, 0].T)

    def test_clock_wrap_is_not_a_gap(self, tmp_path: Path) -> None:
        clocks = [2**32 - 1500, 2**32 - 500, 500]
        path = written(tmp_path / "a.dat", *(intel_record(random_csi(0), c) for c in clocks))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            signal = intel5300.read(path)
        np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)

    def test_clock_set_back_is_bridged_with_a_warning(self, tmp_path: Path) -> None:
        clocks = [10_000_000, 10_001_000, 5_000, 6_000, 6_000]
        path = written(tmp_path / "a.dat", *(intel_record(random_csi(0), c) for c in clocks))
        with pytest.warns(UserWarning, match=r"backward at 2 of 5 packets, the first at packet 2; .* 0\.001000 s"):
            signal = intel5300.read(path)
        np.testing.assert_allclose(signal.time_s, np.arange(5) * 1e-3, atol=1e-12)

    def test_clock_that_never_runs_needs_an_interval(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.dat", *(intel_record(random_csi(0), 4) for _ in range(3)))
        with pytest.raises(ReadError, match=r"stands still in all 3 packets.*interval_s"):
            intel5300.read(path)
        np.testing.assert_allclose(intel5300.read(path, interval_s=0.1).time_s, [0, 0.1, 0.2])

    def test_keeps_the_most_frequent_setup_and_counts_the_rest(self, tmp_path: Path) -> None:
        setups = [(random_csi(0, tx=2), HT20), (random_csi(1), HT20), (random_csi(2), HT40), (random_csi(3), HT20)]
        records = [intel_record(csi, 1000 * i, rate=rate) for i, (csi, rate) in enumerate(setups)]
        with pytest.warns(UserWarning, match=r"dropped 2 of 4 packets.*\(3 rx, 1 tx, 20 MHz\), the first at packet 0"):
            signal = intel5300.read(written(tmp_path / "a.dat", *records))
        assert signal.values.shape == (2, 3, 30)
        np.testing.assert_allclose(signal.time_s, [0, 2e-3], atol=1e-12)
        np.testing.assert_array_equal(signal.values[1, 2], setups[3][0][:, 2, 0])

    def test_every_cut_inside_a_record_is_an_error(self, tmp_path: Path) -> None:
        record = intel_record(random_csi(0), 7)
        whole = record + intel_record(random_csi(1), 1007)
        for size in [1, 2, 3, 22, 23, 100, len(record) - 1, *range(len(record) + 1, len(whole), 7), len(whole) - 1]:
            with pytest.raises(
                ReadError, match=rf"truncated, the record at byte {len(record) * (size > len(record))} "
            ):
                intel5300.read(written(tmp_path / "a.dat", whole[:size]))
        assert len(intel5300.read(written(tmp_path / "a.dat", whole[: len(record)])).time_s) == 1

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"time,amplitude\n0,1\n", "record code 0x6d at byte 2"),
            (b"\x00\x05\xc1abcd" * 3, "no measurement"),
            (b"\x00\x03\xbbab", "at byte 0 has 5 bytes"),
            (b"\x00\x00\xc1" + b"\x00" * 30, "record code 0x00 at byte 5"),
        ],
    )
    def test_what_is_not_a_capture_is_named(self, tmp_path: Path, content: bytes, message: str) -> None:
        with pytest.raises(ReadError, match=message):
            intel5300.read(written(tmp_path / "a.dat", content))

    @pytest.mark.parametrize(("at", "value"), [(11, 0), (11, 4), (12, 0), (18, 0b111111), (18, 0), (19, 191)])
    def test_a_header_that_contradicts_itself_is_refused(self, tmp_path: Path, at: int, value: int) -> None:
        record = bytearray(intel_record(random_csi(0), 7))
        record[at] = value
        good = intel_record(random_csi(1), 1)
        with pytest.raises(ReadError, match=f"packet 1 at byte {len(good)} contradicts itself"):
            intel5300.read(written(tmp_path / "a.dat", good, bytes(record)))

    def test_flipped_bytes_never_crash(self, tmp_path: Path) -> None:
        whole = b"".join(intel_record(random_csi(i), 1000 * i) for i in range(4))
        rng = np.random.default_rng(0)
        refused = 0
        for _ in range(300):
            data = bytearray(whole)
            # Mostly headers: a flip in the payload is a legal other value.
            at = int(rng.integers(4)) * (len(whole) // 4) + int(rng.integers(23))
            data[at] = int(rng.integers(256))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    assert np.isfinite(intel5300.read(written(tmp_path / "a.dat", bytes(data))).values).all()
                except ReadError:
                    refused += 1
        assert refused > 50

    @pytest.mark.real
    def test_equals_what_another_program_decoded(self, data_root: Path) -> None:
        files = sorted((data_root / "captures" / "intel5300").glob("*.dat"))
        assert len(files) == 7
        for file in files:
            golden = np.load(data_root / "captures" / "golden" / f"intel5300__{file.name}.npz", allow_pickle=False)
            wanted = golden["csi_first50"]
            no_clock = file.name.startswith("log.all")  # a file from before the clock was recorded: always 4
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                signal = intel5300.read(file, interval_s=0.1 if no_clock else 0.0)
            got = signal.values.reshape(len(signal.time_s), *wanted.shape[2:], 30)[: len(wanted)]
            np.testing.assert_allclose(got, wanted.transpose(0, 2, 3, 1), rtol=1e-5, err_msg=file.name)
            if not no_clock:
                np.testing.assert_allclose(signal.time_s[: len(wanted)], golden["ts"], atol=1e-6, err_msg=file.name)

    @pytest.mark.real
    def test_phase_slope_confirms_the_subcarrier_grid(self, data_root: Path) -> None:
        """Delay turns the phase in proportion to the frequency step: a wrong grid or quarter turn shows as a kink."""
        for name in ("captures/intel5300/sample_0x1_ap.dat", "polyu-csi-ips/captures/d26/d26_p02_l03.dat"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                signal = intel5300.read(data_root / name)
            assert signal.frequency_hz is not None
            field = signal.values[:, 0::2]
            turn = np.angle((field[..., 1:] * field[..., :-1].conj()).sum(axis=(0, 1)))
            slope = turn / np.diff(signal.frequency_hz)
            near_carrier = slope[11:18]
            assert np.ptp(near_carrier) < 0.25 * abs(near_carrier.mean()), name

    @pytest.mark.real
    def test_polyu_files_hold_three_receivers_at_forty_megahertz(self, data_root: Path) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            (signal,) = readers.read(data_root / "polyu-csi-ips/captures/d26/d26_p02_l03.dat")
        dropped = sum(int(m[1]) for w in caught if (m := re.search(r"dropped (\d+) of 100", str(w.message))))
        assert len(signal.time_s) + dropped == 100
        assert {link.rx for link in signal.links} == {0, 1, 2}
        assert signal.values.shape[1:] == (6, 30)
        assert signal.bandwidth_hz == 40e6


UWB_SYMBOLS = 274  # preamble symbols that a frame's counts are summed over


def uwb_frame(
    time_s: float, first_path: float, taps: np.ndarray, announced: int | None = None, symbols: int = UWB_SYMBOLS
) -> str:
    lines = "".join(f"{int(v.real)}, {int(v.imag)}\n" for v in taps)
    return (
        f"\n21 4B Rx time = {time_s:.15e} 953B8FDBD7\n\n21 4B Rx time(un) = 9.9e+001 953B901800\n\n"
        f"txdly 4045 rxdly 4045\nRX DATA: 41cc4b\n\n"
        f"RX OK WInd(0735), HLP({first_path:09.4f}), PSC({symbols:04d}), RSL(-078.9641)\n"
        f"Accum Len {announced or len(taps)}\n{lines}\nTX Frame TimeStamp Raw  = 97 76DA1A45\n"
    )


UWB_HEADER = (
    "File:20180108-115817_Accum.log, created by DecaRanging MP Version 3.05 (build:Oct  7 2015, 15:44:09)\n"
    "Mode: 2, Chan 2, Code 9, PRF 64, Plength 1024, DataRate 1, PAC 2, ic:1000fa35, ucode:xxxx, antdl:808A\n"
)
UWB_FAILED = "\nRX E\0 WInd(0735), PSC(0264), STO(0001), RSMPL(34)\nAccum Len 20\n" + "725, 443\n" * 20


class TestDecaRanging:
    taps = tuple(np.arange(20) * (1 - 2j) + 100 * seed for seed in range(3))

    def log(self) -> str:
        clock = [16.9, 17.1, 0.1]  # the last one after the 40-bit clock wrapped
        paths = [5.25, 7.9, 6.0]
        frames = [uwb_frame(*frame) for frame in zip(clock, paths, self.taps, strict=True)]
        return UWB_HEADER + frames[0] + UWB_FAILED + frames[1] + frames[2]

    @pytest.mark.parametrize("compress", [False, True])
    def test_first_paths_meet_at_delay_zero(self, tmp_path: Path, compress: bool) -> None:
        data = self.log().replace("\n", "\r\n").encode()
        path = written(tmp_path / "3.log.gz", gzip.compress(data) if compress else data)
        with pytest.warns(UserWarning, match="skipped 1 of 4 frames"):
            (signal,) = readers.read(path)
        assert (signal.kind, signal.domain, signal.session) == ("cir", "delay", "3")
        assert signal.delay_s is not None
        tap = 1 / (2 * 499.2e6)
        np.testing.assert_allclose(signal.delay_s, np.arange(-5, 13) * tap)
        for row, taps, path_index in zip(signal.values[:, 0], self.taps, (5, 7, 6), strict=True):
            wanted = taps[path_index - 5 : path_index + 13] / UWB_SYMBOLS
            np.testing.assert_allclose(row, wanted, rtol=1e-6)
            assert row[np.argmin(np.abs(signal.delay_s))] == pytest.approx(taps[path_index] / UWB_SYMBOLS, rel=1e-6)
        np.testing.assert_allclose(signal.time_s, [0, 0.2, 0.1 + 17.207401025641026 - 16.9], atol=1e-9)
        assert (signal.carrier_hz, signal.bandwidth_hz) == (3993.6e6, 499.2e6)

    def test_incomplete_frames_are_skipped_and_counted(self, tmp_path: Path) -> None:
        whole = uwb_frame(1.0, 5.0, self.taps[0])
        short = uwb_frame(1.1, 5.0, self.taps[1], announced=21)
        no_path = re.sub(r"RX OK[^\n]*\n", "", uwb_frame(1.2, 5.0, self.taps[1]))
        cut = uwb_frame(1.3, 5.0, self.taps[2])
        cut = cut[: cut.index("Accum") + 40]
        path = written(tmp_path / "a.log", (UWB_HEADER + short + whole + no_path + cut).encode())
        with pytest.warns(UserWarning, match="skipped 3 of 4"):
            signal = decaranging.read(path)
        np.testing.assert_allclose(signal.values[0, 0], self.taps[0] / UWB_SYMBOLS, rtol=1e-6)

    def test_levels_do_not_depend_on_how_many_symbols_were_summed(self, tmp_path: Path) -> None:
        short = uwb_frame(1.0, 5.0, 100 * self.taps[0], symbols=100)
        long = uwb_frame(1.1, 5.0, 1024 * self.taps[0], symbols=1024)
        signal = decaranging.read(written(tmp_path / "a.log", (UWB_HEADER + short + long).encode()))
        np.testing.assert_array_equal(signal.values[0], signal.values[1])
        np.testing.assert_array_equal(signal.values[0, 0], self.taps[0].astype(np.complex64))

    def test_a_frame_of_no_symbols_is_skipped(self, tmp_path: Path) -> None:
        frames = uwb_frame(1.0, 5.0, self.taps[0], symbols=0) + uwb_frame(1.1, 5.0, self.taps[1])
        with pytest.warns(UserWarning, match="skipped 1 of 2"):
            signal = decaranging.read(written(tmp_path / "a.log", (UWB_HEADER + frames).encode()))
        np.testing.assert_allclose(signal.values[0, 0], self.taps[1] / UWB_SYMBOLS, rtol=1e-6)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("e+00", "e+24251658653846e+000"),
            ("e+00", "e+999"),
            ("Rx time = 1.0", "Rx time = 1.0.0"),
            ("HLP(0005.0", "HLP(5.0.0"),
            ("HLP(0005.0", "HLP(" + 400 * "5"),
            ("Accum Len 20", "Accum Len " + 5000 * "2"),
        ],
    )
    def test_frames_with_damaged_numbers_are_skipped(self, tmp_path: Path, old: str, new: str) -> None:
        first = uwb_frame(1.0, 5.0, self.taps[0])
        assert old in first
        text = UWB_HEADER + first.replace(old, new) + uwb_frame(1.1, 5.0, self.taps[1])
        with pytest.warns(UserWarning, match="skipped 1 of 2"):
            signal = decaranging.read(written(tmp_path / "a.log", text.encode()))
        np.testing.assert_allclose(signal.values[0, 0], self.taps[1] / UWB_SYMBOLS, rtol=1e-6)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"hello\n", "no line 'Mode:"),
            (UWB_HEADER.replace("Chan 2", "Chan " + 5000 * "2").encode(), "no line 'Mode:"),
            (UWB_HEADER.encode(), "none of its 0 channel impulse responses"),
            ((UWB_HEADER + UWB_FAILED).encode(), "none of its 1 channel impulse responses"),
            (UWB_HEADER.replace("Chan 2", "Chan 6").encode(), "UWB channel 6 .*expected one of"),
            (gzip.compress(UWB_HEADER.encode(), mtime=0)[:-9], "gzip stream is truncated"),
        ],
    )
    def test_logs_without_frames_are_named(self, tmp_path: Path, content: bytes, message: str) -> None:
        with pytest.raises(ReadError, match=message):
            decaranging.read(written(tmp_path / "a.log", content))

    def test_one_receive_time_twice_is_an_error(self, tmp_path: Path) -> None:
        text = UWB_HEADER + uwb_frame(1.0, 5.0, self.taps[0]) * 2
        with pytest.raises(ReadError, match="frames 0 and 1 have one receive time"):
            decaranging.read(written(tmp_path / "a.log", text.encode()))

    @pytest.mark.real
    def test_real_log_rises_at_the_first_path(self, data_root: Path) -> None:
        with pytest.warns(UserWarning, match="skipped 1 of 253"):
            (signal,) = readers.read(data_root / "uwb-cirs-2018/results/1.log.gz")
        assert signal.values.shape[:2] == (252, 1)
        assert signal.delay_s is not None
        power = (np.abs(signal.values[:, 0]) ** 2).mean(axis=0)
        noise = power[(signal.delay_s > -300e-9) & (signal.delay_s < -20e-9)].mean()
        direct = power[(signal.delay_s >= 0) & (signal.delay_s < 5e-9)].max()
        assert direct > 100 * noise  # line of sight
        # Poll and final of one exchange are 0.35 s apart; exchanges follow each other within 2 s.
        assert 0.3 < np.diff(signal.time_s).min() < 0.36 < np.diff(signal.time_s).max() < 2


class TestEsp32Npy:
    def test_layouts(self, tmp_path: Path) -> None:
        window = np.random.default_rng(0).uniform(1, 60, (2, 50, 56))
        for name, array in {
            "whole": window[0],
            "whole_t": window[0].T,
            "win": window,
            "win_t": window.swapaxes(1, 2),
        }.items():
            np.save(tmp_path / f"{name}.npy", array)
            signals = esp32_npy.read(tmp_path / f"{name}.npy")
            assert len(signals) == (2 if "win" in name else 1)
            for signal, wanted in zip(signals, window, strict=False):
                np.testing.assert_array_equal(signal.values[:, 0], wanted.astype(np.float32), err_msg=name)
        assert signal.frequency_hz is not None
        assert signal.frequency_hz[[0, 27, 28, 55]].tolist() == [-8.75e6, -312_500, 312_500, 8.75e6]
        assert (signal.kind, signal.is_real, signal.carrier_hz) == ("csi-amplitude", True, 2.437e9)
        assert signal.interval_s == pytest.approx(0.01)

    def test_what_was_not_measured_is_invalid(self, tmp_path: Path) -> None:
        array = np.full((3, 56, 50), 7.0)
        array[0, 3, 4], array[0, 5, 6], array[0, 7, 8] = 0, np.nan, -1000
        array[1] = 0
        np.save(tmp_path / "a.npy", array)
        with pytest.warns(UserWarning, match=rf"{3 + 56 * 50} of {3 * 56 * 50} amplitudes .* 1 of 3 windows"):
            first, last = esp32_npy.read(tmp_path / "a.npy")
        assert sorted(map(tuple, np.argwhere(~first.mask).tolist())) == [(4, 0, 3), (6, 0, 5), (8, 0, 7)]
        assert last.mask.all()

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.ones((4, 30, 50)), r"shape \(4, 30, 50\); expected \[56, packets\]"),
            (np.ones(56), r"shape \(56,\)"),
            (np.ones((0, 56, 50)), r"shape \(0, 56, 50\)"),
            (np.array(["SEATED_RX"]), "<U9: labels and objects are no signal"),
            (np.ones((56, 9), complex), "complex128 entries"),
            (np.zeros((56, 9)), "no amplitude is finite and positive"),
            (np.array([{}], dtype=object), "not a complete numeric"),
        ],
    )
    def test_other_arrays_are_named(self, tmp_path: Path, array: np.ndarray, message: str) -> None:
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        with pytest.raises(ReadError, match=message):
            esp32_npy.read(tmp_path / "a.npy")

    def test_truncated(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.ones((56, 50)))
        data = (tmp_path / "a.npy").read_bytes()
        for size in (0, 5, 8, 60, 200, len(data) - 1):
            with pytest.raises(ReadError, match="is empty" if size == 0 else "not a complete numeric"):
                esp32_npy.read(written(tmp_path / "b.npy", data[:size]))

    @pytest.mark.real
    def test_real_windows_and_executions(self, data_root: Path) -> None:
        windows = readers.read(data_root / "stability-csi-har/03_WINDOWED/D1/e01_rx_tx-x.npy")
        (whole,) = readers.read(data_root / "stability-csi-har/02_LABELLED/D1/e01_rx_tx-x.npy")
        assert (len(windows), windows[0].values.shape, whole.values.shape) == (29, (50, 1, 56), (1020, 1, 56))
        # Rows run along frequency: the ESP32's buffer order would put the band edges side by side in the middle.
        profile = np.abs(whole.values[:, 0]).mean(axis=0)
        assert abs(profile[28] - profile[27]) < 2 * np.abs(np.diff(profile)).mean() < abs(profile[55] - profile[0])


class TestDetection:
    def test_by_content_not_by_extension(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.ones((56, 9)))
        contents = {
            "intel5300": intel_record(random_csi(0), 7),
            "decaranging": gzip.compress((UWB_HEADER + uwb_frame(1.0, 5.0, np.ones(20))).encode()),
            "esp32_npy": (tmp_path / "a.npy").read_bytes(),
        }
        for name, content in contents.items():
            path = written(tmp_path / "capture.csv", content)
            assert readers.detect(path) == name
            assert len(readers.read(path)) == 1

    @pytest.mark.parametrize("name", [*readers.READERS, *readers.HEADERLESS])
    def test_every_format_has_a_module_with_both_functions(self, name: str) -> None:
        module = readers.reader_of(name)
        assert module.__doc__
        assert callable(module.read)
        assert not module.sniff(b"hello, this is nothing")
        assert not (name in readers.HEADERLESS and module.sniff(bytes(4096)))

    def test_an_unknown_format_or_option_names_the_known(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.iq", np.ones(8, np.complex64).tobytes())
        (signal,) = readers.read(path, "raw_iq", datatype="cf32_le", sample_rate_hz=1e6)
        assert signal.kind == "iq"
        with pytest.raises(ReadError, match="no format 'rawiq'"):
            readers.read(path, "rawiq")
        with pytest.raises(ReadError, match="raw_iq has no option 'rate'; it takes datatype"):
            readers.read(path, "raw_iq", rate=1e6)

    def test_payload_record_first(self, tmp_path: Path) -> None:
        payload = b"\x00\x20\xc1" + bytes(31)
        assert readers.detect(written(tmp_path / "a", payload, intel_record(random_csi(0), 7))) == "intel5300"

    @pytest.mark.parametrize(
        "content", [b"\x00" * 50, b"a,b\n1,2\n" * 9, gzip.compress(b"hello", mtime=0), b"\x1f\x8b\x00", b"\xbb"]
    )
    def test_unknown_content_lists_the_formats(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(ReadError, match="no known format") as caught:
            readers.read(written(tmp_path / "a.dat", content))
        assert all(name in str(caught.value) for name in readers.READERS)

    def test_missing_and_directory(self, tmp_path: Path) -> None:
        with pytest.raises(ReadError, match="no such file"):
            readers.read(tmp_path / "none.dat")
        with pytest.raises(ReadError, match="is a directory"):
            readers.read(tmp_path)

    @pytest.mark.real
    @pytest.mark.parametrize("vendor", ["atheros", "esp32", "feitcsi", "intel5300", "nexmon", "picoscenes", "sigmf"])
    def test_real_captures_are_recognised_by_their_own_reader_alone(self, data_root: Path, vendor: str) -> None:
        own = {"esp32": "esp32_csv"}.get(vendor, vendor)
        unknown = {"output.csv", "example.vita49", "LICENSE"}  # a table of decibels; another container
        for file in sorted((data_root / "captures" / vendor).iterdir()):
            if file.is_dir() or file.name in unknown or file.suffix == ".sigmf-data":
                continue
            head = file.read_bytes()[:4096]
            claimed = [n for n in readers.READERS if readers.reader_of(n).sniff(head)]
            assert claimed == [own], file.name
