"""Hide a part of each window, let the pretrained model impute it, and compare with linear interpolation.

    python examples/reconstruct.py

The windows come from simulated rooms, whose noise-free channel is known. Three masks: random patches (three quarters of
them), a stretch of time, a band of the response axis. Printed: normalised mean squared error over the hidden entries,
in decibels, where -10 dB is an error of a tenth of the power. Lower is better.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from foundation.checkpoints.load import load_masked
from foundation.generate import Imputed, impute
from foundation.generate.figure import reconstruction_picture
from foundation.generate.nmse import nmse
from foundation.results.reconstruction_figure import reconstructions
from foundation.simulate import SimulationConfig, simulate

MASKS = {
    "random": "random patches, 75 %",
    "time": "a stretch of time",
    "response": "a band of subcarriers",
}
#: Windows in which somebody moves; in a still room any interpolation is right.
MOVING = SimulationConfig(activities=("walk", "wave", "turn"), windows_per_session=4)


def decibels(windows: list[Imputed], method: str) -> float:
    """Mean over windows of the NMSE over hidden entries, in dB."""
    each = [nmse(window.truth, getattr(window, method), window.hidden) for window in windows]
    return float(10 * np.log10(np.mean(each)))


def main() -> None:
    began = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the picture")
    parser.add_argument("--windows", type=int, default=32, help="simulated windows to impute")
    args = parser.parse_args()

    model = load_masked("wfm-small")
    signals = list(simulate(args.windows, seed=7, config=MOVING))
    print(f"{len(signals)} windows of {signals[0].values.shape} (times x links x responses)")
    print(f"\n{'NMSE of hidden entries, dB':28}{'wfm-small':>12}{'linear interpolation':>24}")
    shown, index = [], None
    for kind, name in MASKS.items():
        imputed = impute(model, signals, kind, torch.Generator().manual_seed(0))
        print(f"{name:28}{decibels(imputed, 'prediction'):12.1f}{decibels(imputed, 'interpolated'):24.1f}")
        if index is None:  # the same window for all masks: the one of median error under the first
            errors = [nmse(window.truth, window.prediction, window.hidden) for window in imputed]
            index = int(np.argsort(errors)[len(errors) // 2])
        shown.append(reconstruction_picture(imputed[index]))

    args.out.mkdir(parents=True, exist_ok=True)
    picture = args.out / "reconstruct.png"
    picture.write_bytes(reconstructions(shown, "One window, three masks: truth, what the model saw, what it imputed"))
    print(f"\npicture: {picture}   ({time.perf_counter() - began:.0f} s)")


if __name__ == "__main__":
    main()
