"""The page of the quickstart: the finding, pictures, tables, and what to run next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from matplotlib.figure import Figure

from foundation.evaluate.generation import SampleComparison
from foundation.evaluate.report import curves as plots
from foundation.evaluate.report.task_page import result_parts
from foundation.evaluate.task_result import TaskResult
from foundation.results.figure_style import COLOURS, INK, MUTED, dress, to_png
from foundation.results.page import (
    commands_list,
    facts_list,
    figure,
    glossary,
    lead,
    paragraphs,
    section,
    table_of,
    write_page,
)
from foundation.results.reconstruction_figure import Reconstruction, reconstructions
from foundation.results.rows import Row
from foundation.results.tables import pivot

GLOSSARY = {
    "Encoder": "The transformer that turns a window of radio signal into feature vectors, one per patch.",
    "Pretraining": "Training without labels: parts of each window are hidden, and the network predicts them.",
    "LoRA": "Low-rank adaptation (Hu et al. 2021): the encoder's weights stay fixed, and small added matrices are "
    "trained on the labelled task.",
    "From scratch": "The same network and the same labels, started from random weights: what pretraining is compared "
    "with.",
    "Chance": "The accuracy of always predicting the most frequent class of the training labels.",
}
MODES = {
    "baseline": "Doppler features, logistic regression",
    "statistics": "closed-form statistics, kernel head",
    "probe": "frozen encoder, kernel head",
    "lora": "LoRA on the pretrained encoder",
    "scratch": "same network from scratch",
}
NEXT = (
    "wfm inspect FILE                                   # what is in a capture of yours",
    "wfm shards build --help                            # turn recordings into shards",
    "wfm pretrain --config recipes/quickstart.yaml data.shards=SHARDS data.split=null data.part=null out=runs/own",
    "wfm finetune --config recipes/finetune/activity.yaml task.shards=SHARDS task.label=LABEL task.split=SPLIT "
    "out=runs/adapter",
    "wfm evaluate --config recipes/evaluate/quickstart.yaml checkpoint=wfm-small set=own task.shards=SHARDS "
    "task.label=LABEL task.split=SPLIT --html scores.html",
)


@dataclass(frozen=True)
class Quickstart:
    """What the page shows. `losses`: columns step, held-out and training masked loss."""

    rows: Sequence[Row]
    decoder_rows: Sequence[Row]
    adapter: TaskResult
    losses: Sequence[Mapping[str, float]]
    reconstructions: Sequence[Reconstruction]
    samples: SampleComparison
    facts: Mapping[str, str]
    smoke: bool


def finding(rows: Sequence[Row], chance: float, fraction: float = 0.1) -> str:
    """LoRA against training from scratch at this share of the labels, with their intervals, and chance."""
    found = {row.mode: row for row in rows if row.fraction == fraction and row.metric == "accuracy"}
    lora, scratch = found["lora"], found["scratch"]
    if lora.seeds == 1 or scratch.seeds == 1:
        said = "one seed each, so the difference has no interval"
    elif lora.low > scratch.high:
        said = "the 95 % intervals lie apart"
    elif scratch.low > lora.high:
        said = "training from scratch is better here, and the 95 % intervals lie apart"
    else:
        said = "the 95 % intervals overlap, so the difference may be due to the seeds"
    return (
        f"With {100 * fraction:g} % of the labels, LoRA on the pretrained encoder recognises {_shown(lora)} % of the "
        f"activities in rooms it never saw, the same network trained from scratch {_shown(scratch)} %, and chance is "
        f"{100 * chance:.0f} % ({said})."
    )


def write_quickstart(path: Path, shown: Quickstart) -> None:
    """Write the page, atomically."""
    chance = shown.adapter.chance["accuracy"]
    smoke = "SMOKE RUN: a toy network trained for seconds. It proves that every step works; no number means anything."
    caption = (
        "Accuracy on windows from two rooms that neither pretraining nor fine-tuning saw. Bars are 95 % intervals over "
        "seeds, which draw the labelled subset, the initial weights and the batches; pretraining was run once. LoRA "
        "and training from scratch take the same number of steps; more may help training from scratch."
    )
    seeds = max(row.seeds for row in shown.rows)
    write_page(
        path,
        "Quickstart" + (" (smoke run)" if shown.smoke else ""),
        [
            *([lead(smoke)] if shown.smoke else []),
            lead(finding(shown.rows, chance)),
            section("Five words", [glossary(GLOSSARY)]),
            section(
                "Accuracy in rooms never seen",
                [figure(score_figure(shown.rows, chance), f"{caption} Seeds: {seeds}.")],
            ),
            section(
                "The saved adapter: LoRA on a tenth of the labels",
                result_parts("rooms never seen", shown.adapter),
            ),
            section("Pretraining: error on hidden parts, held-out and training", [_losses(shown.losses)]),
            section("Hidden parts of three windows, as predicted", [_reconstructions(shown.reconstructions)]),
            section("Windows generated from noise, beside simulated ones", [_samples(shown.samples)]),
            section("All numbers", [table_of(t) for t in pivot([*shown.rows, *shown.decoder_rows])]),
            section("How it was made", [facts_list(shown.facts)]),
            section("Next: your own data", [commands_list(NEXT), paragraphs([NEXT_NOTE])]),
        ],
    )


NEXT_NOTE = (
    "Capital words stand for your files and names. wfm-small, a small encoder pretrained on several kinds of signal, "
    "is part of the package and the better start for real recordings: this one has seen simulated rooms alone."
)


def score_figure(rows: Sequence[Row], chance: float) -> bytes:
    """A panel per share of the labels, a point per method with its interval, chance as a dashed line."""
    fractions = sorted({row.fraction for row in rows})
    drawing = Figure(figsize=(4.6 * len(fractions) + 2, 2.9), layout="constrained")
    panels = drawing.subplots(1, len(fractions), squeeze=False, sharex=True, sharey=True)[0]
    modes = [mode for mode in MODES if any(row.mode == mode for row in rows)]
    for axes, fraction in zip(panels, fractions, strict=True):
        for row in rows:
            if row.fraction != fraction or row.mode not in modes:
                continue
            mean, low, high = (100 * x for x in (row.mean, row.low, row.high))
            y, colour = modes.index(row.mode), COLOURS[0] if row.mode == "lora" else MUTED
            axes.errorbar(mean, y, xerr=[[mean - low], [high - mean]], fmt="o", color=colour, capsize=3)
            axes.annotate(f"{mean:.0f}", (mean, y), (0, 7), textcoords="offset points", ha="center", color=colour)
        axes.axvline(100 * chance, color=INK, linestyle="--", linewidth=1)
        axes.text(100 * chance, -0.62, " chance", color=INK, fontsize=9, va="top")
        axes.set_title(f"{100 * fraction:g} % of the labels", fontsize=11, color=INK)
        dress(axes, "accuracy, %", "")
    panels[0].set_yticks(range(len(modes)), [MODES[mode] for mode in modes])
    panels[0].set_xlim(left=0)
    panels[0].set_ylim(len(modes) - 0.5, -0.7)
    return to_png(drawing)


def loss_figure(losses: Sequence[Mapping[str, float]]) -> bytes:
    """Masked loss over optimiser steps, of held-out and of training rooms."""
    drawing = Figure(figsize=(8.4, 3.2), layout="constrained")
    axes = drawing.subplots()
    steps = [row["step"] for row in losses]
    for name, colour, dashes in (("rooms never seen", COLOURS[0], "-"), ("training rooms", COLOURS[1], "--")):
        axes.plot(steps, [row[name] for row in losses], color=colour, linestyle=dashes, marker="o", label=name)
    axes.set_ylim(bottom=0)
    axes.set_title("Error on hidden parts over training", fontsize=11, color=INK)
    dress(axes, "optimiser step", "masked loss")
    axes.legend(frameon=False)
    return to_png(drawing)


def _losses(losses: Sequence[Mapping[str, float]]) -> Markup:
    caption = (
        "Mean square error of hidden patches in units of the visible entries' level, mean over the mask kinds, "
        "measured at the saved checkpoints on fixed windows and masks. Lower is better. A curve of rooms never seen "
        "that rises while the other falls is overfitting."
    )
    return figure(loss_figure(losses), caption)


def _reconstructions(shown: Sequence[Reconstruction]) -> Markup:
    caption = (
        "Windows from a room never seen. Left the noise-free channel, in the middle what the network saw (grey is "
        "hidden), right its prediction. An error of 0 dB is no better than predicting zeros, -10 dB is a tenth of the "
        "power."
    )
    return figure(reconstructions(shown, "What the network predicts for hidden parts"), caption)


def _samples(shown: SampleComparison) -> Markup:
    caption = (
        "Left: windows from rooms never seen, windows that the model generates from pure noise, and Gaussian noise of "
        "matched mean and variance. Right: mean power over frequency, and how fast the amplitude changes in time. The "
        "closer a curve lies to the held-out one, the better; noise has no memory."
    )
    return figure(plots.samples(shown), caption)


def _shown(row: Row) -> str:
    mean, low, high = (f"{100 * x:.0f}" for x in (row.mean, row.low, row.high))
    return mean if row.seeds == 1 else f"{mean} [{low}, {high}]"
