"""A task model: encoder, pooling and head, from a token batch to class logits or regression targets."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from foundation.models.pooling import pool
from foundation.models.stacked_head import StackedHead
from foundation.models.structure import inputs_of


class TaskModel(nn.Module):
    """Encoder, pooling and head in one module.

    Attributes:
        seen: of a loaded adapter, the signals that it was fitted to (`foundation.data.seen.Seen`); None: not known.
    """

    seen: Any = None

    def __init__(self, encoder: nn.Module, head: StackedHead, pooling: str) -> None:
        super().__init__()
        self.encoder, self.head, self.pooling = encoder, head, pooling

    def inputs(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Arguments of `forward` for a batch on the CPU, where the model is."""
        config: Any = self.encoder.config
        return inputs_of(batch, len(config.patch_shapes), next(self.parameters()).device)

    def forward(self, **batch: Any) -> Float[Tensor, "batch outputs"]:
        """Class logits or regression targets of a token batch; the arguments are those of `WfmModel.forward`."""
        return self.head(pool(self.encoder, self.encoder(return_dict=True, **batch), batch, self.pooling))
