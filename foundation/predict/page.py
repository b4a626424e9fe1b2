"""Predictions over time as a picture, and a page of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from foundation.predict.prediction import CaptureAnswer, Prediction
from foundation.results.figure_style import BLANK, COLOURS, MUTED, dress, plain, to_png
from foundation.results.page import facts_list, figure, lead, paragraphs, section, table_of, write_page
from foundation.results.tables import Pivot

MOST_ROWS = 1000  # of a table on the page; a file of JSON or CSV has all
MOST_REGIONS = 10  # that are drawn in one plane
OUTSIDE = "unlike the training signals"


def write_predictions(path: Path, title: str, found: Sequence[CaptureAnswer], facts: Mapping[str, str]) -> None:
    """One self-contained page: what was predicted in words, a picture and a table for each capture."""
    sections = [lead(summary(each)) for each in found]
    sections += [section(each.capture, _parts(each)) for each in found if each.windows]
    write_page(path, title, [*sections, facts_list(facts)])


def summary(answer: CaptureAnswer) -> str:
    """The answer for a capture in one sentence."""
    if not answer.windows:
        return answer.problem
    name, windows = Path(answer.capture).name, answer.windows
    count = f"{name}: {len(windows):,} window{'s' * (len(windows) > 1)}"
    outside = sum(bool(one.outside) for one in windows)
    far = f"; {outside:,} of them {OUTSIDE}" if outside else ""
    if windows[0].label is not None:
        shares = Counter(str(one.label) for one in windows).most_common()
        said = ", ".join(f"{label} {100 * n / len(windows):.0f} %" for label, n in shares)
        return f"{count}: {said}{far}."
    values = np.array([one.value for one in windows])
    said = " and ".join(f"{low:.3g} to {high:.3g}" for low, high in zip(values.min(0), values.max(0), strict=True))
    return f"{count}, values from {said}{far}."


def columns_of(windows: Sequence[Prediction]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of a table: time, prediction, how sure, mark."""
    many = len({one.signal for one in windows}) > 1
    is_class = windows[0].label is not None
    header = [*(["signal"] if many else []), "from, s", "to, s", "prediction"]
    header += ["probability"] if is_class else ["90 % within"]
    body = []
    for one in windows:
        sure = f"{one.probability:.2f}" if one.probability is not None else ""
        if not is_class:
            sure = "not known" if one.radius is None else f"{one.radius:.3g}"
        said = str(one.label) if is_class else ", ".join(f"{x:.3g}" for x in one.value or ())
        cells = [f"{one.start_s:.2f}", f"{one.end_s:.2f}", said, sure]
        if one.nearest is not None:
            cells.append(f"{one.nearest[0].label}, {one.nearest[0].recording} at {one.nearest[0].start_s:.2f} s")
        body.append([*([str(one.signal)] if many else []), *cells, OUTSIDE if one.outside else ""])
    if windows[0].nearest is not None:
        header.append("nearest example")
    return [*header, ""], body


def _parts(answer: CaptureAnswer) -> list[Markup]:
    windows = answer.windows
    header, body = columns_of(windows)
    rows = tuple(tuple(cells) for cells in body[:MOST_ROWS])
    left = paragraphs([f"{len(body) - MOST_ROWS:,} further windows are in the files of --json and --csv."])
    return [
        figure(timeline(windows), _caption(windows)),
        table_of(Pivot("Windows", tuple(header), rows, frozenset())),
        *([left] if len(body) > MOST_ROWS else []),
    ]


def _caption(windows: Sequence[Prediction]) -> str:
    if windows[0].label is not None:
        text = "A bar is a window and its most probable class; the darker, the more probable. Below, its probability."
    elif windows[0].radius is None:
        text = "Predicted numbers of every window."
    else:
        text = "Predicted numbers of every window, with the distance within which the truth lies in 90 % of cases."
    return f"{text} Red marks: {OUTSIDE}." if any(one.outside for one in windows) else text


def timeline(windows: Sequence[Prediction]) -> bytes:
    """PNG of predictions over time; over the number of the window, where there are several signals."""
    many = len({one.signal for one in windows}) > 1
    starts = np.arange(len(windows), dtype=float) if many else np.array([one.start_s for one in windows])
    ends = starts + 1 if many else np.array([one.end_s for one in windows])
    draw = _classes if windows[0].label is not None else _numbers
    drawing = draw(windows, starts, np.maximum(ends, starts + 1e-9))
    lowest = drawing.axes[-1] if windows[0].label is not None else drawing.axes[0]
    lowest.set_xlabel("window" if many else "time, s", color=MUTED)
    return to_png(drawing)


def _classes(windows: Sequence[Prediction], starts: np.ndarray, ends: np.ndarray) -> Figure:
    names = list(dict.fromkeys((*(windows[0].probabilities or {}), *(str(one.label) for one in windows))))
    height = 1.0 + 0.32 * len(names)
    drawing = Figure(figsize=(9.6, height + 1.5), layout="constrained")
    bars, chances = drawing.subplots(2, 1, sharex=True, height_ratios=[height, 1.2])
    probability = np.array([one.probability or 0.0 for one in windows])  # of "none of these" there is none
    rows = np.array([names.index(str(one.label)) for one in windows])
    for row in range(len(names)):
        own = rows == row
        bars.barh(rows[own], (ends - starts)[own], left=starts[own], height=0.8, color=_shades(probability[own], row))
    bars.set_yticks(range(len(names)), plain(names))
    bars.set_ylim(len(names) - 0.4, -0.6)
    dress(bars, "", "")
    _mark(bars, windows, starts, ends)
    # A step from each window to the next; the last value is held to its end.
    chances.step([*starts, ends[-1]], [*probability, probability[-1]], where="post", color=COLOURS[0], linewidth=1.2)
    chances.set_ylim(0, 1.05)
    chances.axhline(1 / len(names), color=BLANK, linewidth=1)
    dress(chances, "", "probability")
    return drawing


def _shades(probability: np.ndarray, row: int) -> list[tuple[str, float]]:
    """A colour of its own for each class, the more transparent the less probable."""
    return [(COLOURS[row % len(COLOURS)], 0.15 + 0.85 * float(p)) for p in probability]


def _numbers(windows: Sequence[Prediction], starts: np.ndarray, ends: np.ndarray) -> Figure:
    values = np.array([one.value for one in windows])
    radius = windows[0].radius
    plane = values.shape[1] == 2
    drawing = Figure(figsize=(9.6, 3.6), layout="constrained")
    axes = drawing.subplots(1, 2, width_ratios=[3, 2]) if plane else [drawing.subplots()]
    middle = (starts + ends) / 2
    for number, column in enumerate(values.T):
        colour = COLOURS[number % len(COLOURS)]
        axes[0].plot(middle, column, color=colour, marker=".", linewidth=1.2, label=f"value {number}")
        if radius is not None:
            axes[0].fill_between(middle, column - radius, column + radius, color=colour, alpha=0.12, linewidth=0)
    dress(axes[0], "", "prediction")
    axes[0].legend(frameon=False, fontsize=8)
    _mark(axes[0], windows, starts, ends)
    if plane:
        _track(axes[1], values, radius)
    return drawing


def _track(axes: Axes, values: np.ndarray, radius: float | None) -> None:
    """Predicted places in the plane in order from light to dark, and the regions of some of them."""
    for place in values[:: 1 + len(values) // MOST_REGIONS] if radius is not None else []:
        axes.add_patch(Circle((place[0], place[1]), radius or 0.0, facecolor="none", edgecolor=COLOURS[0], alpha=0.5))
    axes.plot(values[:, 0], values[:, 1], color=BLANK, linewidth=1)
    axes.scatter(values[:, 0], values[:, 1], c=np.arange(len(values)), cmap="viridis_r", s=14, zorder=3)
    axes.set_aspect("equal", "datalim")
    dress(axes, "value 0", "value 1")


def _mark(axes: Axes, windows: Sequence[Prediction], starts: np.ndarray, ends: np.ndarray) -> None:
    """A red line at the top of the axes for every window that lies outside."""
    is_out = np.array([bool(one.outside) for one in windows])
    above = axes.get_xaxis_transform()
    axes.hlines(
        np.full(is_out.sum(), 0.99),
        starts[is_out],
        ends[is_out],
        color="#d62728",
        linewidth=3,
        transform=above,
        clip_on=False,
    )
