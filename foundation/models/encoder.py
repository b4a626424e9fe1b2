"""The signal encoder: raw tokens in, one vector per visible token out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from foundation.models.config import WfmConfig
from foundation.models.embedding import CONTEXT_TOKENS, Context, Tokenizer, with_context
from foundation.models.statistics_head import StatisticsHead
from foundation.nn.blocks import Transformer
from foundation.nn.columns import Columns, fold_matrices
from foundation.nn.decomposition import Components, split


@dataclass
class EncoderOutput(ModelOutput):
    """Output of `WfmModel`.

    Attributes:
        last_hidden_state: context tokens, then visible tokens.
        keep: True for real tokens of the sequence, False for padding.
        index: of each visible token among the input tokens.
        components: the normalised input.
    """

    last_hidden_state: Float[Tensor, "batch sequence width"] | None = None
    keep: Bool[Tensor, "batch sequence"] | None = None
    index: Int[Tensor, "batch visible"] | None = None
    components: Components | None = None


class WfmPreTrainedModel(PreTrainedModel):
    """Weight initialisation and naming shared by the encoder and the pretraining model."""

    config: WfmConfig
    config_class = WfmConfig
    base_model_prefix = "encoder"
    main_input_name = "values"
    supports_gradient_checkpointing = True

    def _init_weights(self, module: nn.Module) -> None:
        """Xavier weights (as masked autoencoders use) and zero biases; layers that start at zero (adaLN) stay so."""
        if isinstance(module, nn.Linear) and not bool((module.weight == 0).all()):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            # Of the scale of the content embedding: antenna and component matter from the first step on.
            nn.init.normal_(module.weight, std=0.2)
            if module.padding_idx is not None:
                nn.init.zeros_(module.weight[module.padding_idx])


class WfmModel(WfmPreTrainedModel):
    """The encoder. Its keyword arguments are the tensors that `foundation.tokenize` makes."""

    fold: Tensor

    def __init__(self, config: WfmConfig) -> None:
        super().__init__(config)
        self.tokenizer = Tokenizer(config)
        self.context = Context(config)
        sizes = config.hidden_size, config.depth, config.heads
        self.transformer = Transformer(*sizes, config.experts, config.experts_active)
        self.statistics_head = StatisticsHead(config)
        self.register_buffer("fold", fold_matrices(config.patch_shapes))
        # An encoder loaded from a pretraining checkpoint leaves the decoder and its heads behind on purpose.
        self._keys_to_ignore_on_load_unexpected = [
            r"^decoder\.",
            r"^mean\.",
            r"^gate_logits\.",
            r"^levels\.",
            r"^flow\.",
        ]
        self.post_init()

    def columns(self, batch: dict[str, Tensor]) -> Columns:
        """The columns of a batch, for sums over their tokens."""
        token_type = 2 * batch["shape"] + batch["static"]
        index = batch["grid"][..., 0]
        time = 2 * index / index.amax(1, keepdim=True).clamp(min=1) - 1
        widths = tuple(2 * responses for _, responses in self.config.patch_shapes)
        return Columns(batch["column"], batch["grid"][..., 1], time, token_type, self.fold, widths)

    def components(self, batch: dict[str, Tensor], visible: Bool[Tensor, "batch tokens"]) -> Components:
        """Normalise raw tokens by the visible ones."""
        static, columns = batch["static"], self.columns(batch)
        # Levels span orders of magnitude: they stay in single precision under any autocast.
        with torch.autocast(visible.device.type, enabled=False):
            return split(batch["values"], batch["observed"], visible, static, batch["logarithmic"], columns)

    def forward(
        self, visible: Bool[Tensor, "batch tokens"] | None = None, components: Components | None = None, **batch: Any
    ) -> EncoderOutput:
        """Encode the visible tokens.

        Args:
            visible: default: every token with a measured entry.
            components: already normalised tokens, for generation, where nothing may be visible yet.
            batch: the tensors of `foundation.data.tokens`: values, observed [batch, tokens, entries]; position
                [batch, tokens, 6]; link [batch, tokens, 2]; grid [batch, tokens, 3]; column, shape, static
                [batch, tokens]; kind, logarithmic [batch]; radio [batch, 3].
        """
        if visible is None:
            visible = batch["observed"].any(-1)
        if components is None:
            components = self.components(batch, visible)
        index = (~visible).to(torch.uint8).argsort(dim=1, stable=True)[:, : max(1, int(visible.sum(1).max()))]
        located = dict(zip(_LOCATION, gather_tokens(index, *(batch[name] for name in _LOCATION)), strict=True))
        # Only in tokens that hold the static response: dynamics are the same under any automatic gain control.
        gain = torch.where(summary_tokens(batch), components.gain, 0.0)
        real = visible.gather(1, index)
        tokens = self.tokenizer(
            *gather_tokens(index, components.values, batch["observed"], gain), real=real, batch=located
        )
        context = self.context(batch["kind"], batch["radio"], components.levels())
        keep = torch.cat([visible.new_ones(len(visible), CONTEXT_TOKENS), real], dim=1)
        hidden = self.transformer(torch.cat([context, tokens], dim=1), with_context(located["position"]), keep)
        return EncoderOutput(last_hidden_state=hidden, keep=keep, index=index, components=components)


_LOCATION = ("position", "link", "shape", "static")  # what `Placement` reads of a batch


def summary_tokens(batch: dict[str, Tensor]) -> Bool[Tensor, "batch tokens"]:
    """Which tokens summarise a column: static tokens, or the patches of a single snapshot, which has no static ones."""
    static = batch["static"]
    return static | ~static.any(1, keepdim=True)


def gather_tokens(
    index: Int[Tensor, "batch visible"], *tensors: Shaped[Tensor, "batch tokens ..."]
) -> tuple[Shaped[Tensor, "batch visible ..."], ...]:
    """Select the tokens `index` of each sample from every tensor."""
    rows = torch.arange(len(index), device=index.device)[:, None]
    return tuple(t[rows, index] for t in tensors)
