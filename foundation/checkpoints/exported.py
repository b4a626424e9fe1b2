"""Networks from a folder that `wfm hub export` wrote, the Hub, or this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging

from foundation.checkpoints.released import resolve
from foundation.errors import CheckpointError

M = TypeVar("M", bound=PreTrainedModel)


def load_exported(source: str | Path, kind: type[M]) -> M:
    """A network of this class, from an exported folder, an org/name on the Hub or a released name.

    Raises:
        CheckpointError: there is none, or it is not one of this library's.
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
    if report["missing_keys"]:
        raise CheckpointError(
            f"{source}: lacks {len(report['missing_keys'])} weights, first {sorted(report['missing_keys'])[0]}."
        )
    return model


@contextmanager
def quietly() -> Iterator[None]:
    """Without transformers' bars for a file on this disk and its advice on classes: our errors say what is wrong."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
