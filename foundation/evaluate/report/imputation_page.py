"""Table, result file and page of the imputation benchmark (`foundation.evaluate.imputation`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup
from matplotlib.figure import Figure

from foundation.checkpoints.load import load_masked
from foundation.config.imputation import ImputationRecipe
from foundation.data.shards.corpus import read_part
from foundation.evaluate.imputation import (
    LINEAR,
    LOW_RANK,
    METHODS,
    NETWORK,
    Measured,
    windows_of_kinds,
)
from foundation.files import write_atomically
from foundation.generate import impute
from foundation.generate.figure import reconstruction_picture
from foundation.results.figure_style import COLOURS, INK, dress, plain, to_png
from foundation.results.page import facts_list, figure, paragraphs, section, table_of, write_page
from foundation.results.reconstruction_figure import reconstruction
from foundation.results.tables import Pivot

NOTES = (
    "NMSE in dB over hidden entries, lower is better: -10 dB is a tenth of the power, 0 dB no better than zeros. "
    "Every window is scaled to power 1. The truth is free of noise where it was simulated, and as measured elsewhere, "
    "where measurement noise bounds every method from below. CSI and spectrograms in linear amplitude, other kinds "
    "as complex or real values, RSSI in dBm.",
    "Intervals are 95 %, a bootstrap over sessions, or over windows where there are fewer than six sessions, which is "
    "too narrow. The last columns are paired: how far the network's error is below (negative) that of interpolation; "
    "bold where the interval excludes 0 in the network's favour.",
    "Low rank is completion of each window on its own; start, axis and rank are chosen by hiding visible entries of "
    "that window. A mask that hides no part of a kind (links where there is one) has no line.",
)


def save_imputation(path: Path, recipe: ImputationRecipe, measured: Sequence[Measured], command: str) -> None:
    """Replace the file by these figures, one line each."""
    lines = []
    for each in measured:
        named = {"set": each.set, "kind": each.kind, "mask": each.mask, "n": len(each.power), "over": each.over}
        for method in METHODS:
            against = {"against": _rounded(each.decibels(NETWORK, method))} if method != NETWORK else {}
            lines.append(json.dumps(named | {"method": method, "nmse_db": _rounded(each.decibels(method))} | against))
    head = json.dumps({"checkpoint": recipe.checkpoint, "seed": recipe.seed, "command": command})
    write_atomically(path, head[:-1] + ', "rows": [\n' + ",\n".join(lines) + "\n]}\n")


def imputation_table(measured: Sequence[Measured]) -> Pivot:
    """One line per set, kind and mask."""
    body, best = [], set()
    for i, each in enumerate(measured):
        levels = [each.decibels(method) for method in METHODS]
        apart = [each.decibels(NETWORK, other) for other in (LINEAR, LOW_RANK)]
        shown = [f"{mean:.1f}" for mean, _, _ in levels]
        shown[0] = _cell(levels[0])
        body.append((f"{each.set}, {each.kind}", each.mask, *shown, *map(_cell, apart), each.over))
        best |= {(i, 2 + len(METHODS) + j) for j, (_, _, high) in enumerate(apart) if high < 0}
    header = ("set, kind", "mask", *METHODS, f"network - {LINEAR}", f"network - {LOW_RANK}", "interval over")
    return Pivot("NMSE of hidden entries, dB", header, tuple(body), frozenset(best))


def imputation_summary(measured: Sequence[Measured]) -> Pivot:
    """One line per set and kind, one column per mask: network / linear / low rank; bold where the network is better
    than both, with intervals that exclude 0."""
    masks = list(dict.fromkeys(each.mask for each in measured))
    lines = list(dict.fromkeys((each.set, each.kind) for each in measured))
    cells, best = [["" for _ in masks] for _ in lines], set()
    for each in measured:
        i, j = lines.index((each.set, each.kind)), masks.index(each.mask)
        cells[i][j] = " / ".join(f"{each.decibels(method)[0]:.1f}" for method in (NETWORK, LINEAR, LOW_RANK))
        if all(each.decibels(NETWORK, other)[2] < 0 for other in (LINEAR, LOW_RANK)):
            best.add((i, 2 + j))
    title = "NMSE of hidden entries, dB: network / linear interpolation / low rank"
    body = tuple((*line, *row) for line, row in zip(lines, cells, strict=True))
    return Pivot(title, ("set", "kind", *(f"{mask} mask" for mask in masks)), body, frozenset(best))


def write_imputation_page(path: Path, recipe: ImputationRecipe, measured: Sequence[Measured], command: str) -> None:
    """One self-contained page: the figure, the table, and an imputed window of every kind."""
    facts = {"checkpoint": recipe.checkpoint, "windows": f"up to {recipe.count} of every kind", "command": command}
    sections = [
        paragraphs(NOTES),
        facts_list(facts),
        section("Errors", [figure(errors_figure(measured), NOTES[0]), table_of(imputation_table(measured))]),
        section("One window of every kind", _examples(recipe)),
    ]
    write_page(path, f"{recipe.name}: hidden parts of every kind of signal", sections)


def errors_figure(measured: Sequence[Measured]) -> bytes:
    """One panel per mask, one line per set and kind, a point per method with its interval."""
    masks = list(dict.fromkeys(each.mask for each in measured))
    lines = list(dict.fromkeys((each.set, each.kind) for each in measured))
    drawing = Figure(figsize=(3.4 * len(masks) + 1.6, 1.2 + 0.42 * len(lines)), layout="constrained")
    panels = drawing.subplots(1, len(masks), squeeze=False, sharey=True)[0]
    for axes, mask in zip(panels, masks, strict=True):
        for place, method in enumerate(METHODS[:3]):
            points = [(lines.index((m.set, m.kind)), *m.decibels(method)) for m in measured if m.mask == mask]
            y, mean, low, high = np.array(points).T
            style = {"color": COLOURS[place], "fmt": "os^"[place], "markersize": 4, "capsize": 2, "linewidth": 1}
            axes.errorbar(mean, y + 0.22 * (place - 1), xerr=(mean - low, high - mean), label=method, **style)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_title(f"{mask} mask", fontsize=11, color=INK)
        dress(axes, "NMSE, dB", "")
    panels[0].set_yticks(range(len(lines)), plain(", ".join(line) for line in lines))
    panels[0].set_ylim(len(lines) - 0.5, -0.5)
    drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", frameon=False, ncols=3)
    return to_png(drawing)


def _examples(recipe: ImputationRecipe) -> list[Markup]:
    model, shown = load_masked(recipe.checkpoint), []
    for each in recipe.sets:
        signals = read_part(each.shards, each.split, each.parts)
        for kind, chosen in windows_of_kinds(signals, recipe.count).items():
            generator = torch.Generator().manual_seed(recipe.seed)
            windows = impute(model, chosen[:4], "random", generator)
            imputed = next((window for window in windows if window.has_both), None)
            if imputed is not None:
                caption = f"{each.set}, {kind}: truth, visible entries, and the imputed window."
                shown.append(figure(reconstruction(reconstruction_picture(imputed)), caption))
    return shown


def _cell(figures: tuple[float, float, float]) -> str:
    mean, low, high = figures
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _rounded(figures: tuple[float, float, float]) -> list[float]:
    return [round(value, 3) for value in figures]
