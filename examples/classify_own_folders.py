"""Train a classifier on your own captures: one folder per class, one file per recording.

    python examples/classify_own_folders.py                    # writes and uses a small simulated tree of ESP32 files
    python examples/classify_own_folders.py --raw captures     # yours: captures/walk/*.csv, captures/empty/*.csv, ...

Files are recognised by their content, cut into windows and split BY RECORDING: windows of one recording are so alike
that a split between them would measure memory. Two fits on the frozen or adapted encoder `wfm-small`: a probe (kernel
ridge regression on pooled features) and LoRA with that head. Printed: accuracy beside chance, and a confusion matrix.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import foundation
from foundation.adapt import fit, fit_stack, predict, training_features
from foundation.adapt.select_pooling import requested_poolings
from foundation.checkpoints.load import load_encoder
from foundation.config import TuneSection
from foundation.data.labelled import Target, TokenSet
from foundation.data.origins import origins
from foundation.models import TaskModel
from foundation.signal import Signal
from foundation.simulate import SimulationConfig, simulate

CLASSES, RECORDINGS = ("empty", "walk", "wave"), 12  # of the simulated tree
WINDOW = 128  # packets
SPACING_HZ = 312_500.0


def write_example_tree(folder: Path) -> None:
    """Simulated recordings as text files in the format of Espressif's esp-csi: folder/CLASS/NUMBER.csv."""
    for name in CLASSES:
        rooms = SimulationConfig(
            rooms=4, room_size_m=(4.0, 7.0), windows_per_session=1, times=4 * WINDOW + 32, activities=(name,),
            rx_antennas=1, carriers_hz=(2.437e9,), subcarriers=57, bandwidth_hz=57 * SPACING_HZ,
        )  # fmt: skip
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, signal in enumerate(simulate(RECORDINGS, seed=3, config=rooms)):
            (folder / name / f"{number:02d}.csv").write_text("".join(esp32_lines(signal)))


def esp32_lines(signal: Signal) -> list[str]:
    """One line per received packet: 25 fields, the last 64 subcarriers as signed bytes (imaginary, real)."""
    place = np.rint(signal.response / SPACING_HZ).astype(int) % 64  # order of a Fourier transform
    scale = 100 / np.abs(signal.values).max()
    lines = []
    for row in np.flatnonzero(signal.mask[:, 0, 0]):
        buffer = np.zeros((64, 2), int)
        buffer[place, 0] = np.rint(scale * signal.values[row, 0].imag)
        buffer[place, 1] = np.rint(scale * signal.values[row, 0].real)
        numbers, clock = ",".join(map(str, buffer.ravel())), round(1e6 * signal.time_s[row])
        radio = f"-50,11,1,0,0,1,1,0,0,0,0,-92,0,6,0,{clock},0,80,0"  # channel 6, clock in microseconds
        lines.append(f'CSI_DATA,{row},1a:00:00:00:00:00,{radio},128,0,"[{numbers}]"\n')
    return lines


def read_windows(folder: Path) -> list[Signal]:
    """Windows of all files of folder/CLASS/, labelled by their class; the session is the file."""
    windows = []
    for path in sorted(path for path in folder.glob("*/*") if path.is_file()):
        name = path.parent.name
        for signal in foundation.read(path):
            marked = signal.with_(labels={"class": name}, session=f"{name}/{path.name}")
            starts = range(0, len(signal.time_s) - WINDOW + 1, WINDOW) or [0]
            windows += [marked.window(start, min(WINDOW, len(signal.time_s))) for start in starts]
    return windows


def split_by_recording(windows: list[Signal], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and to test on: a quarter of the recordings of every class is held out."""
    rng, held_out = np.random.default_rng(seed), set()
    for name in sorted({str(window.labels["class"]) for window in windows}):
        sessions = sorted({window.session for window in windows if window.labels["class"] == name})
        held_out |= set(rng.permutation(sessions)[: max(1, len(sessions) // 4)].tolist())
    is_test = np.array([window.session in held_out for window in windows])
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def print_and_draw(truth: np.ndarray, predicted: np.ndarray, classes: tuple[str, ...], path: Path) -> None:
    """The confusion matrix (rows: true class) on the terminal and as a picture."""
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (truth, predicted), 1)
    width = max(8, *(len(name) + 2 for name in classes))
    print("\nconfusion matrix of LoRA (rows: true class, columns: predicted)")
    print(" " * width + "".join(f"{name:>{width}}" for name in classes))
    for name, row in zip(classes, counts, strict=True):
        print(f"{name:{width}}" + "".join(f"{count:{width}d}" for count in row))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(1.6 + 0.9 * len(classes), 1.2 + 0.9 * len(classes)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        dark = shares[row, column] > 0.5
        axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(f"{len(truth)} windows of recordings\nnot trained on", fontsize=10)
    figure.savefig(path, dpi=130)


def main() -> None:
    began = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, help="folder with one subfolder of captures per class")
    parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the picture")
    parser.add_argument("--steps", type=int, default=40, help="training steps of LoRA")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    if args.raw is None:
        write_example_tree(args.out / "captures")
    windows = read_windows(args.raw or args.out / "captures")
    train, test = split_by_recording(windows)
    target = Target.of([windows[i] for i in train], "class")
    assert target.classes is not None  # of text labels
    targets = target.encode(windows)
    print(f"{len(windows)} windows of {len({w.session for w in windows})} recordings, {len(test)} windows held out")

    encoder = load_encoder("wfm-small")
    data, held_out = (TokenSet(part, encoder.config) for part in (windows, [windows[i] for i in test]))
    tune = TuneSection(steps=args.steps, batch_size=16, learning_rate=1e-3)
    poolings = requested_poolings(tune.pooling, (window.values.shape for window in windows), encoder.config)
    frozen = training_features(encoder, data, poolings, train, augment=0.0)
    stack = fit_stack(frozen, targets[train], target.size, origins(windows[i] for i in train), seed=0)
    probe = TaskModel(encoder, stack.head, stack.pooling)
    predicted = {"probe": predict(probe, held_out).argmax(axis=1)}
    lora = fit(encoder, data, train, targets, target, "lora", tune, seed=0, frozen=frozen)
    predicted["LoRA"] = predict(lora, held_out).argmax(axis=1)
    for name, found in predicted.items():
        share = np.mean(found == targets[test])
        print(f"{name:6} accuracy {share:6.1%} on recordings not trained on (chance {1 / target.size:.1%})")

    picture = args.out / "classify_own_folders.png"
    print_and_draw(targets[test], predicted["LoRA"], target.classes, picture)
    print(f"\npicture: {picture}   ({time.perf_counter() - began:.0f} s)")


if __name__ == "__main__":
    main()
