"""Embed Wi-Fi CSI, UWB impulse responses and RSSI fingerprints in one batch with one encoder.

    python examples/embed_three_kinds.py

The windows differ in length, antennas, bandwidth and even in the response axis (frequency, delay, none); `tokenize`
pads them to one batch, and `AutoModel` returns one vector per window after pooling. Printed: cosine similarity within
one recording, within a kind and between kinds. The encoder is given the kind, so that kinds separate is expected; that
windows of one recording (one room, one pair of devices) lie closer than other recordings of that kind is learnt.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from transformers import AutoModel

import foundation
from foundation.models import pool
from foundation.released import resolve
from foundation.signal import Signal
from foundation.simulate.corpus import corpus

KINDS = {"csi": "Wi-Fi CSI", "cir": "UWB impulse response", "rssi": "RSSI fingerprint"}
COLOURS, MARKERS = ("#0072b2", "#d55e00", "#009e73"), "o^s"
PER_KIND = 32  # windows; four of each recording


def draw_windows() -> list[Signal]:
    """The first windows of each kind from a simulated corpus that pretraining did not use (another seed)."""
    found: dict[str, list[Signal]] = {kind: [] for kind in KINDS}
    for signal in corpus(2000, seed=1):
        if signal.kind in found and len(found[signal.kind]) < PER_KIND:
            found[signal.kind].append(signal)
        if all(len(signals) == PER_KIND for signals in found.values()):
            break
    return [signal for signals in found.values() for signal in signals]


@torch.no_grad()
def embed(signals: list[Signal]) -> np.ndarray:
    """Pooled embeddings [n, F], each feature with zero mean and unit deviation over the batch."""
    model = AutoModel.from_pretrained(resolve("wfm-small")).eval()
    batch = foundation.tokenize(signals, model.config)
    pooled = pool(model, model(**batch), batch, "moments").numpy()
    print(f"one batch: {len(signals)} windows, up to {batch['values'].shape[1]} tokens -> embeddings {pooled.shape}")
    return (pooled - pooled.mean(axis=0)) / (pooled.std(axis=0) + 1e-6)


def print_similarities(signals: list[Signal], embeddings: np.ndarray) -> None:
    """Mean cosine similarity of pairs of different windows."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosine, kind = unit @ unit.T, np.array([signal.kind for signal in signals])
    session = np.array([signal.session for signal in signals])
    other = ~np.eye(len(signals), dtype=bool)
    same_session = session[:, None] == session
    print(f"\n{'mean cosine similarity':30}" + "".join(f"{name:>22}" for name in KINDS.values()))
    rows = {"same recording": same_session & other, "other recordings": ~same_session}
    for row, pairs in rows.items():
        own = [cosine[pairs & (kind[:, None] == k) & (kind == k)].mean() for k in KINDS]
        print(f"{f'same kind, {row}':30}" + "".join(f"{value:22.2f}" for value in own))
    for first in KINDS:
        means = [cosine[(kind[:, None] == first) & (kind == k) & other].mean() for k in KINDS]
        print(f"{'any, with ' + KINDS[first]:30}" + "".join(f"{value:22.2f}" for value in means))


def draw(signals: list[Signal], embeddings: np.ndarray, path: Path) -> None:
    """The two principal components; windows of one recording are joined by a line."""
    model = PCA(2).fit(embeddings)
    points = model.transform(embeddings)
    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    axes = figure.subplots()
    for (kind, name), colour, marker in zip(KINDS.items(), COLOURS, MARKERS, strict=True):
        rows = [i for i, signal in enumerate(signals) if signal.kind == kind]
        axes.scatter(*points[rows].T, s=28, color=colour, marker=marker, label=name, edgecolor="white", linewidth=0.5)
        for session in sorted({signals[i].session for i in rows}):
            axes.plot(*points[[i for i in rows if signals[i].session == session]].T, color=colour, alpha=0.35, lw=1)
    shares = 100 * model.explained_variance_ratio_
    axes.set_xlabel(f"first principal component ({shares[0]:.0f} % of the variance)")
    axes.set_ylabel(f"second principal component ({shares[1]:.0f} %)")
    axes.set_title("Three kinds of signal in one embedding space (lines join windows of one recording)", fontsize=10)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main() -> None:
    began = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the picture")
    args = parser.parse_args()

    signals = draw_windows()
    for kind, name in KINDS.items():
        shapes = sorted({signal.values.shape for signal in signals if signal.kind == kind})
        print(f"{name:22} times x links x responses from {shapes[0]} to {shapes[-1]}")
    embeddings = embed(signals)
    print_similarities(signals, embeddings)

    args.out.mkdir(parents=True, exist_ok=True)
    picture = args.out / "embed_three_kinds.png"
    draw(signals, embeddings, picture)
    print(f"\npicture: {picture}   ({time.perf_counter() - began:.0f} s)")


if __name__ == "__main__":
    main()
