"""What is said of a capture while it grows is what is said of it when it is finished."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers.esp32 import line, random_buffer
from helpers.live import Replay, pieces_of
from helpers.nexmon import capture, csi, ethernet, random_bins
from helpers.picoscenes import frame, integers, intel_5300

import foundation
from foundation.data.cutter import Cut, Cutter
from foundation.data.windows import WindowShape
from foundation.errors import CheckpointError, ReadError, SignalError
from foundation.predict import Model
from foundation.predict.captures import predict_captures
from foundation.predict.listen import Answer, Began, Counted, Event, Listener, Missing, Refused
from foundation.predict.prediction import Prediction
from foundation.readers.live import Piece

SECOND_US = 1_000_000


@pytest.fixture(scope="module")
def model(activity: Path) -> Model:
    return foundation.load(adapter=activity)


def nexmon_bytes(count: int, rate_hz: float = 100.0) -> bytes:
    """Two cores."""
    return capture(
        [
            (
                1000 + k / rate_hz + core * 1e-4,
                ethernet(csi(random_bins(2 * k + core), core=core, sequence=16 * k % 65536)),
            )
            for k in range(count)
            for core in (0, 1)
        ]
    )


def esp32_bytes(count: int, rate_hz: float = 100.0, gap_at: int = -1) -> bytes:
    """From one packet on three seconds later."""
    clocks = [round(SECOND_US * k / rate_hz) + 3 * SECOND_US * (0 <= gap_at <= k) for k in range(count)]
    return "".join(line(random_buffer(k), clock) for k, clock in enumerate(clocks)).encode()


def picoscenes_bytes(count: int) -> bytes:
    return b"".join(frame(intel_5300(integers(k, (30, 2, 1), 8)), 10_000 * k) for k in range(count))


CAPTURES = {
    "nexmon": nexmon_bytes(450),
    "esp32": esp32_bytes(600, gap_at=300),
    "picoscenes": picoscenes_bytes(300),
    "at another rate": nexmon_bytes(1500, 300.0),
}


def listened(model: Model, path: Path, data: bytes, size: int, hop_s: float | None = None) -> list[Event]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another shape than that of the training windows
        return list(Listener(model, Replay(str(path), pieces_of(data, size)), hop_s=hop_s).events())


def _answers(events: Sequence[Event]) -> list[Answer]:
    return [event for event in events if isinstance(event, Answer)]


def assert_said_of_the_finished_file(model: Model, path: Path, events: Sequence[Event], hop_s: float | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (expected,) = predict_captures(model, [path], hop_s)
    found = [event.prediction for event in _answers(events)]
    assert [(one.start_s, one.end_s, one.label, one.session, one.outside) for one in found] == [
        (one.start_s, one.end_s, one.label, one.session, one.outside) for one in expected.windows
    ]
    wanted = [one.probability for one in expected.windows]
    assert [one.probability for one in found] == pytest.approx(wanted, abs=1e-5), "of batches of other sizes"


@pytest.mark.parametrize("hop_s", [None, 0.5])
@pytest.mark.parametrize("name", CAPTURES)
def test_labels_are_those_of_the_finished_capture(model: Model, name: str, hop_s: float | None, tmp_path: Path) -> None:
    path = tmp_path / "a.capture"
    path.write_bytes(CAPTURES[name])
    events = listened(model, path, CAPTURES[name], 3000, hop_s)
    assert len(_answers(events)) >= 2
    assert_said_of_the_finished_file(model, path, events, hop_s)
    assert isinstance(events[0], Began)
    assert all(isinstance(event, Missing) for event in events[1:-1] if not isinstance(event, Answer))
    last = events[-1]
    assert isinstance(last, Counted)
    assert (last.bad, last.lost, last.windows) == (0, 0, len(_answers(events)))


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    ["nexmon/example_43455c0.pcap", "picoscenes/rx_by_qca9300.csi", "esp32/example_100hz_pitraffic.csv"],
)
def test_labels_of_real_captures_are_those_of_the_finished_capture(model: Model, data_root: Path, name: str) -> None:
    path = data_root / "captures" / name
    assert_said_of_the_finished_file(model, path, listened(model, path, path.read_bytes(), 4000), None)


def test_a_window_over_a_gap_is_not_predicted_and_said_so(model: Model, tmp_path: Path) -> None:
    events = listened(model, tmp_path / "a.csv", esp32_bytes(600, gap_at=300), 2000)
    (gap,) = [event for event in events if isinstance(event, Missing)]
    assert (gap.windows, gap.start_s, gap.end_s) == (1, pytest.approx(2.56), pytest.approx(6.84))
    last = events[-1]
    assert isinstance(last, Counted)
    assert (last.packets, last.windows, last.missing) == (600, 3, 1)


def test_a_sender_that_begins_anew_is_another_recording(model: Model, tmp_path: Path) -> None:
    events = listened(model, tmp_path / "a.csv", 2 * esp32_bytes(200), 2000)
    began = [event for event in events if isinstance(event, Began)]
    assert [(event.is_new, event.links, event.responses) for event in began] == [(True, 1, 56), (False, 1, 56)]
    assert [event.prediction.start_s for event in _answers(events)] == [0.0, 0.0]
    assert [event.recording for event in _answers(events)] == [event.recording for event in began]


def test_what_is_not_like_the_training_signals_is_refused_and_does_not_stop_it(model: Model, tmp_path: Path) -> None:
    slow = esp32_bytes(100, rate_hz=10.0)
    events = listened(model, tmp_path / "a.csv", slow + esp32_bytes(200), 2000)
    (refused,) = [event for event in events if isinstance(event, Refused)]
    assert "has 10 samples a second and the training windows had 100" in refused.reason
    assert len(_answers(events)) == 1


def test_latency_is_the_time_since_the_last_packet_of_the_window(model: Model, tmp_path: Path) -> None:
    """Ten packets a piece, that arrived an hour ago, one second after the other."""
    lines = esp32_bytes(200).splitlines(keepends=True)
    began = time.time() - 3600
    pieces = [Piece(b"".join(lines[at : at + 10]), began + at / 10) for at in range(0, 200, 10)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (answer,) = _answers(list(Listener(model, Replay("a.csv", pieces)).events()))
    assert answer.latency_s == pytest.approx(3600 - 12, abs=0.5 + time.time() - began - 3600), (
        "packet 127 is in piece 12"
    )


def test_a_thousand_packets_a_second_take_less_than_a_core(model: Model, tmp_path: Path) -> None:
    """In processor time, as other work of this machine does not count; by the piece, as UDP brings them."""
    payloads = [csi(random_bins(k % 50), sequence=16 * k % 65536) for k in range(5000)]
    source = Replay("udp", [Piece(data, 1e9 + 0.001 * k) for k, data in enumerate(payloads)])
    source.is_datagram = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.process_time()
        events = list(Listener(model, source, "nexmon").events())
    assert len(_answers(events)) == 3, "of 1.28 s"
    assert time.process_time() - began < 5


class _Stub:
    """In place of a model: windows of 32 samples, one a second, and no network."""

    interval_s = 1.0
    _shape = WindowShape(length=32, interval_s=1.0, intervals_s=(1.0, 1.0), longest_s=31.0, bandwidths_hz=None)

    def cutter(self, hop_s: float | None) -> Cutter:
        return Cutter(self._shape, {"csi": "log-amplitude"}, hop_s)

    def check(self, window: Any) -> None:
        pass

    def answer(self, cuts: Sequence[tuple[int, Cut]]) -> list[Prediction]:
        return [Prediction(number, "", cut.start_s, cut.end_s, label="x") for number, cut in cuts]


MINUTES, ANEW, GAP, GARBAGE = 24 * 60, 20, 7, 5  # of a day, between restarts, in a recording, between bad lines


def _a_day() -> Iterator[Piece]:
    """A packet a second; anew every 20 minutes, the eighth of which is lost, and every 5 minutes garbage."""
    lines = [line(random_buffer(k), 123456789) for k in range(64)]
    for minute in range(MINUTES):
        within = minute % ANEW
        clocks = [SECOND_US * (1 + 60 * within + k) for k in range(60)] if within != GAP else []
        text = "".join(lines[k].replace("123456789", str(clock)) for k, clock in enumerate(clocks)).encode()
        if minute % GARBAGE == 0:
            text += b"CSI_DATA,garbled\n\xff\x00\xfe\n" + bytes(3000)
            text += b"\n"
        yield Piece(text, time.time())


def test_a_day_with_gaps_restarts_and_garbage_takes_no_more_memory_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("foundation.predict.sources._PIECES", 8)  # else a quarter of the day waits in the queue
    rss: list[int] = []
    kinds: dict[type, int] = {}
    last: Event | None = None
    for event in Listener(_Stub(), Replay("day.csv", _a_day())).events():  # type: ignore[arg-type]
        kinds[type(event)] = kinds.get(type(event), 0) + 1
        last = event
        if isinstance(event, Began):
            rss.append(psutil.Process().memory_info().rss)
    recordings, packets = MINUTES // ANEW, 60 * (ANEW - 1)
    assert isinstance(last, Counted)
    assert (kinds[Began], last.packets, last.bad) == (recordings, recordings * packets, MINUTES // GARBAGE)
    assert (last.windows + last.missing, last.missing) == (recordings * (packets // 32), recordings)
    assert kinds[Answer] == last.windows
    assert rss[-1] - rss[len(rss) // 4] < 2**24, "bytes, over three quarters of the day"


@pytest.mark.parametrize(
    ("data", "format", "said"),
    [
        (b"", None, "nothing of nexmon, picoscenes, esp32_csv in its first 0 bytes"),
        (b"no capture\n" * 200_000, None, r"in its first \d+ bytes \(they begin with 6e 6f 20 63 61 70 74 75\)"),
        (b"", "sigmf", "no sigmf can be read while it grows"),
    ],
)
def test_what_is_no_capture_is_refused(data: bytes, format: str | None, said: str) -> None:
    with pytest.raises(ReadError, match=said):
        list(Listener(_Stub(), Replay("a", pieces_of(data, 65536)), format).events())  # type: ignore[arg-type]


def test_datagrams_before_the_first_of_a_known_format_are_counted() -> None:
    source = Replay("udp", [Piece(b"hello", 0.0)] * 3 + [Piece(line(random_buffer(0), 0).encode(), 0.0)])
    source.is_datagram = True
    last = list(Listener(_Stub(), source).events())[-1]  # type: ignore[arg-type]
    assert isinstance(last, Counted)
    assert (last.packets, last.bad) == (1, 3)


def test_a_wrong_hop_and_an_adapter_of_an_earlier_version_are_refused_at_once(model: Model) -> None:
    with pytest.raises(SignalError, match="the hop between windows is 0 s"):
        Listener(model, Replay("a", []), hop_s=0.0)
    with pytest.raises(CheckpointError, match="no adapter, and so nothing to predict"):
        Listener(Model(model.encoder), Replay("a", []))
