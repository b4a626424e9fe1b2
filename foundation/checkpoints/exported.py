"""Load networks from exported folders, the Hugging Face Hub, or this package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging

from foundation.checkpoints.released import resolve
from foundation.errors import CheckpointError

#: Prefixes of weight names of earlier versions -> current prefixes.
RENAMED = {
    "encoder.sketch.tell.": "encoder.statistics_head.project.",
    "sketch.tell.": "statistics_head.project.",
    "trust.": "gate_logits.",
}
M = TypeVar("M", bound=PreTrainedModel)


def load_exported(source: str | Path, kind: type[M]) -> M:
    """A network of this class from an exported folder, an org/name on the Hub or a released name.

    Raises:
        CheckpointError: there is none, it is not a model of this library, or it lacks weights.
    """
    source = resolve(source)
    try:
        with quietly() if Path(source).is_dir() else nullcontext():
            loaded: Any = kind.from_pretrained(source, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{source}: cannot be loaded as a model of this library ({reason}).") from error
    model: M
    model, report = loaded
    refuse_renamed(source, report["unexpected_keys"])
    if report["missing_keys"]:
        raise CheckpointError(
            f"{source}: lacks {len(report['missing_keys'])} weights, first {sorted(report['missing_keys'])[0]}."
        )
    return model


def refuse_renamed(source: str | Path, names: Iterable[str]) -> None:
    """Check weight names for those of earlier versions.

    Raises:
        CheckpointError: there is one; gives its current name.
    """
    for name in sorted(names):
        for before, now in RENAMED.items():
            if name.startswith(before):
                raise CheckpointError(
                    f"{source}: was written by an earlier version: weight {name} is now called "
                    f"{now}{name.removeprefix(before)}; rename the weights that begin like it."
                )


@contextmanager
def quietly() -> Iterator[None]:
    """Silence the progress bars and warnings of transformers."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
