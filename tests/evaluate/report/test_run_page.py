"""The report page: whole, self-contained, escaped, and its pictures show the arrays they are given."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from foundation.evaluate.generation import SampleComparison
from foundation.evaluate.report import curves as plots
from foundation.evaluate.report.run_page import write_report
from foundation.results.figure_style import BLANK
from foundation.results.reconstruction_figure import Reconstruction, reconstruction
from foundation.results.rows import Row

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Collects what the tests ask for, and fails on tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def make_reconstruction(title: str = "A window") -> Reconstruction:
    rng = np.random.default_rng(0)
    truth = np.abs(rng.standard_normal((24, 12))) + 1
    mask = np.zeros((24, 12), bool)
    mask[:, :6] = True
    return Reconstruction(title, truth, mask, truth + 0.1, {"model": 0.0123, "zeros": 1.0})


def make_samples() -> SampleComparison:
    rng = np.random.default_rng(0)
    real = 3 + np.cumsum(rng.standard_normal((6, 16, 8)), axis=1) * 0.1
    return SampleComparison("Windows", real, real[::-1] * 1.01, 3 + 0.1 * rng.standard_normal((6, 16, 8)))


def make_rows(fractions: tuple[float, ...] = (0.1, 1.0)) -> list[Row]:
    return [
        Row(
            set="stability",
            split=split,
            method="<b>small</b>",
            mode=mode,
            fraction=fraction,
            metric="accuracy",
            mean=0.6 + 0.1 * fraction,
            low=0.55,
            high=0.75,
            seeds=3,
            n=101,
            command="wfm evaluate --config a&b.yaml",
        )
        for split in ("D1", "D2")
        for mode in ("probe", "lora")
        for fraction in fractions
    ]


def pixels(png: bytes) -> np.ndarray:
    """[height, width, 3] in 0..1."""
    return matplotlib.image.imread(io.BytesIO(png))[..., :3]


def test_the_page_is_whole_self_contained_and_escaped(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "page.html"
    write_report(
        path,
        title="Run <script>alert(1)</script>",
        facts={"parameters": "5.1 M", "machine": "2 cores & <8 GiB"},
        history=[{"step": i, "train/loss": 1 / (1 + i), "lr": 1.0} for i in range(10)],
        reconstructions=[make_reconstruction('A "quoted" <window>')],
        samples=[make_samples()],
        rows=make_rows(),
        notes=["Trained on D1 <e01..e08> alone."],
    )
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "iframe", "b"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?://|url\(|@import", text)
    sources = [str(attributes["src"]) for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 4
    for source in sources:
        assert source.startswith("data:image/png;base64,")
        assert pixels(base64.b64decode(source.partition(",")[2], validate=True)).std() > 0.01
    words = " ".join(page.words)
    for expected in (
        "Run <script>alert(1)</script>",
        "2 cores & <8 GiB",
        "<b>small</b>",
        "70.0 [55.0, 75.0]",
        "model 0.012; zeros 1.000",
        "wfm evaluate --config a&b.yaml",
        "Trained on D1 <e01..e08> alone.",
        'A "quoted" <window>',
    ):
        assert expected in words
    assert "prefers-color-scheme: dark" in text


def test_sections_without_content_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_report(path, title="Empty", facts={}, history=[], reconstructions=[], samples=[], rows=[], notes=[])
    page = Page(path.read_text())
    assert not {"h2", "img", "table", "dl"} & {tag for tag, _ in page.tags}
    assert "Empty" in page.words


def test_a_report_that_fails_leaves_the_former_one(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("former")
    with pytest.raises(ValueError, match="finite loss"):
        write_report(
            path, title="x", facts={}, history=[{"step": 1}], reconstructions=[], samples=[], rows=[], notes=[]
        )
    assert path.read_text() == "former"


def test_masked_entries_are_blank_in_the_middle_panel_alone() -> None:
    shown = make_reconstruction()
    blank = np.array([int(BLANK[i : i + 2], 16) / 255 for i in (1, 3, 5)])

    def blanks(mask: np.ndarray) -> np.ndarray:
        changed = Reconstruction(shown.title, shown.truth, mask, shown.prediction, {})
        picture = pixels(reconstruction(changed))
        is_blank = np.all(np.abs(picture - blank) < 0.01, axis=2)
        return np.array([part.mean() for part in np.array_split(is_blank, 3, axis=1)])

    half, none = blanks(shown.visible_mask), blanks(np.ones_like(shown.visible_mask))
    assert np.all(none < 0.01)
    assert half[1] > 0.2
    assert half[0] < 0.05
    assert half[2] < 0.05


def test_complex_fields_are_drawn_by_their_amplitude_and_pictures_are_deterministic() -> None:
    shown = make_reconstruction()
    turned = Reconstruction(shown.title, shown.truth * 1j, shown.visible_mask, shown.prediction * 1j, shown.nmse)
    assert reconstruction(shown) == reconstruction(turned)
    real = make_samples()
    assert plots.samples(real) == plots.samples(make_samples())
    other = SampleComparison("Windows", real.held_out, real.gaussian, real.gaussian)
    assert plots.samples(real) != plots.samples(other)


def test_label_fractions_are_lines_and_a_single_one_is_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = []
    monkeypatch.setattr(plots, "to_png", lambda figure: figures.append(figure) or b"")
    plots.fractions(make_rows())
    plots.fractions(make_rows((1.0,)))
    lines, listed = figures
    panel = lines.axes[0]
    assert panel.get_title() == "stability, D1"
    assert panel.get_xscale() == "log"
    assert panel.get_ylabel() == "accuracy, %"
    assert len(panel.containers) == 2
    points, _, (bars,) = panel.containers[0].lines
    np.testing.assert_allclose(points.get_ydata(), [61.0, 70.0])
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], [55.0, 75.0])
    assert [label.get_text() for label in listed.axes[0].get_yticklabels()] == [
        "<b>small</b>, probe",
        "<b>small</b>, lora",
    ]


def test_loss_curve_skips_what_is_not_a_loss_or_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = []
    monkeypatch.setattr(plots, "to_png", lambda figure: figures.append(figure) or b"")
    history = [
        {"step": 0, "train/loss": 4.0, "lr": 9.0},
        {"step": 1, "train/loss": float("nan"), "val/loss": 3.0},
        {"step": 2, "train/loss": 2.0},
    ]
    plots.loss_curve(history)
    (axes,) = figures[0].axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn == {"train/loss": [[0, 4], [2, 2]], "val/loss": [[1, 3]]}
