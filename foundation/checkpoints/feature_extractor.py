"""Signals -> input tensors, in the form in which transformers keeps what precedes a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import BatchFeature
from transformers.feature_extraction_utils import FeatureExtractionMixin

from foundation.data.tokens import tokenize
from foundation.errors import CheckpointError, SignalError
from foundation.models.config import WfmConfig
from foundation.signal import Signal

#: Fields of the configuration that tokenisation needs; `foundation.data.tokens.TokenSpec` types them.
SPEC = ("patch_shapes", "views", "links", "positions")
#: Keys that transformers writes beside them.
_WRITTEN = ("feature_extractor_type", "processor_class")


class TokenBatch(BatchFeature):
    """The tensors of a batch, by name: `model(**batch)`."""

    def to(self, *args: Any, **options: Any) -> TokenBatch:
        """Move to a device. Numbers stay in float32 under any dtype: half precision cannot hold hertz, and the network
        casts by itself, after it has normalised levels."""
        options.pop("dtype", None)
        where = [each for each in args if not isinstance(each, torch.dtype)]
        if where or "device" in options:
            super().to(*where, **options)
        return self


class WfmFeatureExtractor(FeatureExtractionMixin):
    """Tokenises signals for a model; saved beside it as preprocessor_config.json.

    Args:
        fields: patch_shapes, views, links and positions of the model's configuration, with the same defaults.

    Raises:
        CheckpointError: a key is unknown, or a value is of another type or out of bounds.
    """

    patch_shapes: list[list[int]]
    views: dict[str, str]
    links: int
    positions: str

    def __init__(self, **fields: Any) -> None:
        if unknown := [name for name in fields if name not in (*SPEC, *_WRITTEN)]:
            raise CheckpointError(
                f"preprocessor_config.json: unknown key {unknown[0][:80]!r}; expected {', '.join(SPEC)}."
            )
        config = WfmConfig(**{name: value for name, value in fields.items() if name in SPEC})
        super().__init__(**{name: getattr(config, name) for name in SPEC})

    @classmethod
    def of(cls, config: WfmConfig) -> WfmFeatureExtractor:
        """The feature extractor of a model."""
        return cls(**{name: getattr(config, name) for name in SPEC})

    def __call__(self, signals: Signal | Sequence[Signal], return_tensors: str = "pt") -> TokenBatch:
        """Signals, or one, as `foundation.tokenize` makes them.

        Args:
            return_tensors: "pt" for torch, "np" for NumPy.

        Raises:
            RecipeError: a signal's kind has no view, or an antenna is beyond the model's table.
            SignalError: there is no signal, or `return_tensors` is neither of the two.
        """
        if return_tensors not in ("pt", "np"):
            raise SignalError(f"return_tensors={return_tensors!r}: expected 'pt' or 'np'.")
        batch = tokenize(signals, self)
        return TokenBatch(batch if return_tensors == "pt" else {name: value.numpy() for name, value in batch.items()})
