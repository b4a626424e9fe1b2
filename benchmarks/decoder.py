"""Whether a decoder samples from what it was given: python -m benchmarks.decoder CHECKPOINT SHARDS [--json FILE].

On windows of rooms that pretraining did not see, for several numbers of denoising steps: error of samples given half of
the patches against that of the predicted mean (2 for samples of the true posterior); CRPS; jumps at patch borders
against jumps inside, in units of the same ratio of measured windows; AUC of a classifier that tells whole generated
windows from measured ones. And how much the loss rises with the latents of another sample in place of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from torch import Tensor

from foundation.checkpoints.load import load_masked
from foundation.data.shards.corpus import read_part
from foundation.data.tokens import tokenize
from foundation.evaluate.statistics.metrics import power_profile_db
from foundation.generate import impute, sample_like
from foundation.generate.nmse import nmse
from foundation.models import WfmForMaskedModeling
from foundation.models.masked_loss import hidden_tokens, targets_of, weighted_mean_square
from foundation.models.structure import Structure, Visible, rows_of
from foundation.nn.denoise import LOGIT_T, Noisy
from foundation.nn.masks import draw_mask
from foundation.signal import Signal
from foundation.study.heldout import held_out_losses

WINDOWS, BATCH, DRAWS = 128, 64, 6
STEPS = (1, 2, 4, 8, 16)
NOISE = (1.0, *torch.distributions.Normal(*LOGIT_T).icdf(torch.arange(0.1, 1, 0.2)).sigmoid().flip(0).tolist())


def half_visible(signals: Sequence[Signal], model: WfmForMaskedModeling, alike: bool = False) -> tuple[Any, Tensor]:
    """A batch and a mask that hides half of the patches; `alike`: the same ones in all samples."""
    batch: dict[str, Any] = dict(tokenize(signals, model.config))
    batch["structure"] = Structure.of(batch)
    generator = torch.Generator().manual_seed(0)
    tokens = batch["grid"], batch["measured"], batch["static"]
    visible = draw_mask(*tokens, (0.5, 0.5), {"random": 1.0}, generator)
    return batch, visible[:1].expand_as(visible).clone() if alike else visible


@torch.no_grad()
def swapped(model: WfmForMaskedModeling, signals: Sequence[Signal]) -> dict[float, tuple[float, float]]:
    """Noise level -> loss of the velocity with the latents of the same sample, and with those of the next one.

    At 1 it is the masked loss; the other levels are deciles of those that training draws.
    """
    found: dict[float, list[tuple[float, float]]] = {t: [] for t in NOISE}
    for start in range(0, len(signals), BATCH):
        batch, mask = half_visible(signals[start : start + BATCH], model, alike=True)
        seen = Visible.of(mask, batch, len(model.config.patch_shapes))
        own = model.encoder(seen, return_dict=True, **batch)
        other = replace(own, last_hidden_state=own.last_hidden_state.roll(1, 0))
        rows = rows_of(batch["measured"] & ~mask)
        target, observed = targets_of(own.components, rows), batch["observed"].flatten(0, 1)[rows]
        noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(start))
        for t in NOISE:
            noisy = Noisy(rows, torch.lerp(target, noise, t), observed, torch.full((len(rows),), t))
            losses = []
            for output in (own, other):
                condition = model.decoder(output, batch["exists"], batch, noisy)
                hidden = hidden_tokens(model.decoder.predict, batch, rows, condition, own.components)
                losses.append(float(weighted_mean_square((noisy.clean(hidden.predicted) - target) / t, hidden.weight)))
            found[t].append((losses[0], losses[1]))
    return {t: tuple(np.mean(each, axis=0).tolist()) for t, each in found.items()}


def samples_of_half(
    model: WfmForMaskedModeling, signals: Sequence[Signal], steps: int, guidance: float
) -> dict[str, float]:
    """Error of samples over that of the mean, CRPS over the mean's absolute error, error of the mean of `DRAWS`."""
    sums, errors = np.zeros(5), []
    for start in range(0, len(signals), BATCH):
        batch, visible = half_visible(signals[start : start + BATCH], model)
        hidden = (batch["measured"] & ~visible & ~batch["static"])[..., None] & batch["observed"]
        level = model.encoder.components(batch, visible).dynamic_level[:, None, None]
        mean = ((model.reconstruct(visible, **batch) - batch["values"]) / level)[hidden].numpy()
        options = {} if guidance == 1 else {"guidance": guidance}
        draws = [
            ((model.generate(visible, generator, steps=steps, **options, **batch) - batch["values"]) / level)[hidden]
            for generator in map(torch.Generator().manual_seed, range(DRAWS))
        ]
        each = np.stack([draw.numpy() for draw in draws])
        apart = np.mean([np.abs(a - b).mean() for a, b in pairwise(each)]) / 2
        errors.append(len(mean))
        sums += len(mean) * np.array(
            [
                np.square(each).mean(),
                np.square(mean).mean(),
                np.square(each.mean(0)).mean(),
                np.abs(each).mean() - apart,
                np.abs(mean).mean(),
            ]
        )
    drawn, mean, of_mean, crps, absolute = sums / sum(errors)
    return {
        "sample error / mean's": drawn / mean,
        "mean of draws / mean's": of_mean / mean,
        "CRPS / mean's absolute error": crps / absolute,
    }


def border_ratio(windows: np.ndarray, patch: tuple[int, int]) -> float:
    """Jumps of log amplitudes [N, T, R] at patch borders over those inside, along both axes."""
    logs = np.log(np.maximum(windows, 1e-6))
    found = []
    for axis, side in ((1, patch[0]), (2, patch[1])):
        jumps = np.abs(np.diff(logs, axis=axis)).mean(axis=tuple({0, 1, 2} - {axis}))
        at = np.arange(1, len(jumps) + 1) % side == 0
        if at.any():
            found.append(jumps[at].mean() / jumps[~at].mean())
    return float(np.mean(found))


def told_apart(real: np.ndarray, made: np.ndarray) -> float:
    """AUC of a forest on principal components, cross-validated, between windows [N, T, R]; 0.5 for the same law."""
    both = np.concatenate([real, made])
    logs = np.log(np.maximum(both, 1e-3)).reshape(len(both), -1)
    truth = np.repeat([0, 1], [len(real), len(made)])
    found = make_pipeline(PCA(30, random_state=0), ExtraTreesClassifier(300, random_state=0))
    return float(roc_auc_score(truth, cross_val_predict(found, logs, truth, cv=5, method="predict_proba")[:, 1]))


def amplitudes(signals: Sequence[Signal]) -> np.ndarray:
    """Of the first link, each window at power 1."""
    windows = np.stack([np.abs(signal.values[:, 0]) for signal in signals])
    return np.asarray(windows / np.sqrt(np.mean(windows**2, axis=(1, 2), keepdims=True)))


def whole_windows(model: WfmForMaskedModeling, signals: Sequence[Signal], steps: int) -> dict[str, float]:
    """Figures of windows generated from nothing but levels."""
    patch = next(tuple(p) for p in model.config.patch_shapes if p[0] <= len(signals[0].time_s))
    real = amplitudes(signals)
    made = amplitudes(sample_like(model, signals, torch.Generator().manual_seed(0), steps=steps))
    ratio = border_ratio(made, patch) / border_ratio(real, patch)
    profile = np.sqrt(np.mean(np.square(power_profile_db(real) - power_profile_db(made))))
    return {"border ratio / measured": ratio, "AUC": told_apart(real, made), "power profile, dB": float(profile)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("shards")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--windows", type=int, default=WINDOWS)
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    model, part = load_masked(args.checkpoint), read_part(args.shards, "room", "test")
    alike = [signal for signal in part if signal.values.shape == part[0].values.shape]
    signals = alike[:: max(1, len(alike) // args.windows)][: args.windows]
    found: dict[str, Any] = {"windows": len(signals), "held-out masked loss": held_out_losses(model, signals)}
    filled = {
        kind: impute(model, signals, kind, torch.Generator().manual_seed(0)) for kind in ("random", "time", "response")
    }
    for name in ("prediction", "interpolated"):
        scored = {k: [nmse(f.truth, getattr(f, name), f.hidden) for f in each] for k, each in filled.items()}
        found[f"NMSE of {name}, dB"] = {k: float(10 * np.log10(np.mean(each))) for k, each in scored.items()}
    found["own and swapped latents"] = {
        f"t = {t:.2f}": {"own": own, "swapped": other, "apart, %": 100 * (other / own - 1)}
        for t, (own, other) in swapped(model, signals).items()
    }
    print(json.dumps(found, indent=1), flush=True)
    for steps in args.steps:
        began = time.process_time()
        figures = samples_of_half(model, signals, steps, args.guidance)
        seconds = (time.process_time() - began) / len(signals) / DRAWS
        figures |= whole_windows(model, signals, steps) | {"CPU seconds a sample": seconds}
        found[f"{steps} steps"] = figures
        print(steps, {name: round(value, 4) for name, value in figures.items()}, flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
