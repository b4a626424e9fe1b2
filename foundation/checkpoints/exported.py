"""Load networks from exported folders, the Hugging Face Hub, or this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging

from foundation.errors import CheckpointError
from foundation.released import resolve

M = TypeVar("M", bound=PreTrainedModel)


def load_exported(source: str | Path, kind: type[M]) -> M:
    """A network of this class from an exported folder, an org/name on the Hub or a released name.

    Raises:
        CheckpointError: there is none, it is not a model of this library, or it lacks weights.
    """
    try:
        with quietly() if isinstance(resolve(source), Path) else nullcontext():  # a download shows its progress
            model: M = kind.from_pretrained(source)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{source}: cannot be loaded as a model of this library ({reason}).") from error
    model.config.return_dict = True  # a config.json may say tuples; this library reads outputs by name
    return model


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
