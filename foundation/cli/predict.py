"""`wfm predict`: what a fitted adapter says of captures."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.cli.common import add_model, command, refuse_unwritable

if TYPE_CHECKING:
    from foundation.predict.model import Model
    from foundation.predict.prediction import CaptureAnswer

EXAMPLES = """examples:
  wfm predict capture.dat --adapter runs/finetune/activity
  wfm predict monday/*.pcap --adapter org/activity --csv monday.csv --html monday.html
  wfm predict capture.dat --adapter runs/finetune/activity --hop 0.5     a window every half second
  wfm predict runs/shards/mine --adapter runs/finetune/activity --json predictions.json
  wfm predict room.csi carrier_hz=5.18e9 --adapter runs/finetune/activity

A capture is cut into windows as the training samples were: their number of samples at their rate; another rate is
resampled. Each window has its time, the answer, how probable it is (90 %: of ten such answers nine are right, where
captures are like the training recordings), and a mark where it is unlike all training samples: then nothing is known.
Capture formats: docs/reference/captures.md. What the numbers mean: docs/guide/prediction.md.
"""


def add(commands: Any) -> None:
    about = "what a fitted adapter says of captures: time, label, probability, and a mark for what it does not know"
    predict = command(commands, "predict", _predict, about, EXAMPLES)
    predict.add_argument(
        "captures",
        nargs="+",
        metavar="CAPTURE",
        help="captures of any readable format, shard directories; and OPTION=VALUE for what a file lacks",
    )
    add_model(predict)
    predict.add_argument("--json", type=Path, metavar="OUT", help="write everything, with all probabilities")
    predict.add_argument("--csv", type=Path, metavar="OUT", help="write a line for every window")
    predict.add_argument("--html", type=Path, metavar="OUT", help="write a page with a timeline of every capture")


def captures_of(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Captures, and options of their reader.

    Raises:
        ReadError: one does not exist, or there are options alone.
    """
    from foundation.errors import ReadError

    options = [word for word in words if "=" in word and not Path(word).exists()]
    captures = [Path(word) for word in words if word not in options]
    if missing := [path for path in captures if not path.exists()]:
        raise ReadError(f"{missing[0]}: no such file or folder; give captures, or shard directories.")
    if not captures:
        raise ReadError(f"{options[0]!r} is an option of a reader; give a capture as well.")
    return captures, options


def _predict(args: argparse.Namespace) -> None:
    refuse_unwritable(args.json, args.csv, args.html)
    captures, options = captures_of(args.captures)
    from foundation.machine import set_threads
    from foundation.predict import load
    from foundation.predict.captures import predict_captures

    set_threads(None)
    model = load(args.base, args.adapter, args.device)
    name, *more = args.format or [None]
    found = []
    for answer in predict_captures(model, captures, args.hop, name, [*options, *more]):
        _print(answer)
        found.append(answer)
    _write(args, model, found)
    _refuse_failed(found)


def _print(answer: CaptureAnswer) -> None:
    from foundation.predict.page import columns_of, summary
    from foundation.results.terminal import text_table

    if answer.windows:
        print(text_table(*columns_of(answer.windows)))
        print(summary(answer), flush=True)


def _write(args: argparse.Namespace, model: Model, found: Sequence[CaptureAnswer]) -> None:
    from foundation.files import write_atomically
    from foundation.predict.page import write_predictions
    from foundation.predict.prediction import to_csv, to_json

    if args.json is not None:
        write_atomically(args.json, to_json(model.about() | {"adapter": args.adapter}, found))
    if args.csv is not None:
        write_atomically(args.csv, to_csv(found))
    if args.html is not None:
        facts = {
            "adapter": args.adapter,
            **{name: str(value) for name, value in model.about().items() if value is not None},
        }
        write_predictions(args.html, f"{model.target.label}, as {Path(args.adapter).name} predicts it", found, facts)
    if written := [str(path) for path in (args.json, args.csv, args.html) if path is not None]:
        print(f"{', '.join(written)}: written.")


def _refuse_failed(found: Sequence[CaptureAnswer]) -> None:
    """Raise where captures have no answer: those of the others are printed and written.

    Raises:
        ReadError: the only problem, or how many there are and the first.
    """
    from foundation.errors import ReadError

    problems = [each.problem for each in found if not each.windows]
    if problems:
        many = f"{len(problems)} of {len(found)} captures have no answer; the first: " if len(found) > 1 else ""
        raise ReadError(f"{many}{problems[0]}")
