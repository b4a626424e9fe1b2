"""The closed form in the place of an encoder: what an encoder is compared with, as no weight is learnt.

It normalises a batch as an encoder does and has no latents; the poolings in closed form read the rest.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from foundation.models.batch import checked_batch
from foundation.models.config import WfmConfig
from foundation.models.normaliser import Normaliser
from foundation.models.output import EncoderOutput
from foundation.models.structure import Visible
from foundation.nn.columns import fold_matrices


class ClosedForm(Normaliser, nn.Module):
    """Has the poolings `foundation.models.closed_pooling.CLOSED_POOLINGS` of an encoder, and no others.

    Args:
        config: how signals are cut into tokens (patch shapes, views); its sizes are not used.
    """

    fold: Tensor

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("fold", fold_matrices(config.patch_shapes))

    def forward(self, visible: Visible, **batch: Any) -> EncoderOutput:
        """The components of a batch.

        Args:
            visible, batch: as `foundation.models.structure.inputs_of` makes them: every measured token is visible.
        """
        batch = checked_batch(batch)
        return EncoderOutput(
            index=visible.index,
            components=self.components(batch, visible.mask),
            structure=batch["structure"],
            visible=visible,
        )
