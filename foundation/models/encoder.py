"""The signal encoder: raw tokens in, one vector per visible token out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from transformers import PreTrainedModel

from foundation.errors import CheckpointError
from foundation.models.batch import checked_batch
from foundation.models.config import WfmConfig
from foundation.models.embedding import Context, Tokenizer, with_context
from foundation.models.facts_head import FactsHead
from foundation.models.folder import check_folder, local_folder
from foundation.models.normaliser import Normaliser
from foundation.models.output import EncoderOutput, asked_for, gather_tokens
from foundation.models.pooling import pool
from foundation.models.statistics_head import StatisticsHead
from foundation.models.structure import CONTEXT_TOKENS, Visible, summary_tokens
from foundation.models.weights import check_finite
from foundation.nn.blocks import Transformer
from foundation.nn.columns import fold_matrices
from foundation.nn.decomposition import Components
from foundation.released import name_of


class WfmPreTrainedModel(PreTrainedModel):
    """Weight initialisation and naming shared by the encoder and the pretraining model."""

    config: WfmConfig
    config_class = WfmConfig
    base_model_prefix = "encoder"
    main_input_name = "values"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # of transformers' Trainer, such as the number of labels in a batch
    _no_split_modules = ["Block"]  # noqa: RUF012  # as in transformers; `device_map` leaves each on one device
    _supports_sdpa = True  # `attn_implementation="sdpa"`, which `foundation.nn.attention` calls where it is fastest

    @classmethod
    def from_pretrained(  # type: ignore[override]  # all keywords are passed on
        cls, pretrained_model_name_or_path: str | Path | None, *positional: Any, **options: Any
    ) -> Any:
        """As in transformers; besides a folder or a repository on the Hub, the first may be a released name.

        Raises:
            CheckpointError: there is no such model, its files or configuration hold what an export does not, or a
                weight is missing, unknown, of another shape or not finite.
        """
        source = pretrained_model_name_or_path
        wants_report = options.pop("output_loading_info", False)
        folder = None
        if source is not None:  # else from a state_dict
            if adapter := (options.pop("adapter_kwargs", None) or {}).get("_adapter_model_path"):
                raise CheckpointError(
                    f"{adapter}: is an adapter; load it with foundation.adapt.load_adapter or peft.AutoPeftModel."
                )
            folder = local_folder(source, options)
            whole = check_folder(folder)
            if not whole and not issubclass(cls, WfmModel):
                raise CheckpointError(f"{source}: holds the encoder alone, which is loaded with AutoModel.")
            options["use_safetensors"] = True
        loaded: Any = super().from_pretrained(folder, *positional, output_loading_info=True, **options)
        model, report = loaded
        for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
            if found := sorted(map(str, report.get(what) or ())):
                raise CheckpointError(
                    f"{source}: {what.partition('_')[0]} weights, {len(found)} of them, first {found[0][:200]}: it "
                    "does not fit the configuration that was given."
                )
        check_finite(str(source), model.state_dict())
        if source is not None:  # the name where it is a released one, which every installation has
            model.name_or_path = model.config.name_or_path = name_of(source)
        return (model, report) if wants_report else model

    def enable_input_require_grads(self) -> None:
        """Nothing: PEFT asks for it before gradient checkpointing, which here needs no gradient of the input."""

    def _init_weights(self, module: nn.Module) -> None:
        """Xavier weights (as masked autoencoders use) and zero biases; layers that start at zero (adaLN) stay so."""
        if any(parameter.is_meta for parameter in module.parameters(recurse=False)):
            return  # a network without memory, of which only the shapes are asked
        if isinstance(module, nn.Linear) and not bool((module.weight == 0).all()):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            # Of the scale of the content embedding: antenna and component matter from the first step on.
            nn.init.normal_(module.weight, std=0.2)
            if module.padding_idx is not None:
                nn.init.zeros_(module.weight[module.padding_idx])


class WfmModel(WfmPreTrainedModel, Normaliser):
    """The encoder. Its keyword arguments are the tensors that `foundation.tokenize` makes."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__(config)
        self.tokenizer = Tokenizer(config)
        self.context = Context(config)
        sizes = config.hidden_size, config.depth, config.heads
        self.transformer = Transformer(*sizes, config.experts, config.experts_active)
        self.statistics_head = StatisticsHead(config)
        self.facts_head = FactsHead(config.hidden_size) if config.facts else None
        self.register_buffer("fold", fold_matrices(config.patch_shapes))
        self._keep_in_fp32_modules_strict = {"rates"}  # of positions, see `foundation.nn.precision`
        # An encoder loaded from a pretraining checkpoint leaves the decoder and its heads behind on purpose.
        self._keys_to_ignore_on_load_unexpected = [
            r"^decoder\.",
            r"^gate_logits\.",
            r"^levels\.",
            r"^spectrum_head\.",
        ]
        self.post_init()

    def forward(
        self,
        visible: Bool[Tensor, "batch tokens"] | Visible | None = None,
        components: Components | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **batch: Any,
    ) -> EncoderOutput | tuple[Any, ...]:
        """Encode the visible tokens.

        Args:
            visible: a mask, or what was made of it where the batch was made; default: every token with a measured
                entry.
            components: already normalised tokens, for generation, where nothing may be visible yet.
            output_hidden_states, return_dict: as everywhere in transformers; defaults are those of the configuration.
            batch: the tensors of `foundation.data.tokens`: values, observed [batch, tokens, entries]; position
                [batch, tokens, 6]; link [batch, tokens, 2]; grid [batch, tokens, 3]; column, shape, static
                [batch, tokens]; kind, logarithmic [batch]; radio [batch, 3]. And `structure`, where it was made
                before, see `foundation.models.structure`.

        Raises:
            SignalError: another tensor was given, or one is missing.
        """
        batch = checked_batch(batch)
        if not isinstance(visible, Visible):
            mask = batch["observed"].any(-1) if visible is None else visible
            visible = Visible.of(mask, batch, len(self.config.patch_shapes))
        if components is None:
            components = self.components(batch, visible.mask)
        index = visible.index
        located = dict(zip(_LOCATION, gather_tokens(index, *(batch[name] for name in _LOCATION)), strict=True))
        # Only in tokens that hold the static response: dynamics are the same under any automatic gain control.
        gain = torch.where(summary_tokens(batch), components.gain, 0.0)
        tokens = self.tokenizer(
            *gather_tokens(index, components.values, batch["observed"], gain), visible=visible, batch=located
        )
        context = self.context(batch["kind"], batch["radio"], components.levels())
        keep = torch.cat([index.new_ones(len(index), CONTEXT_TOKENS, dtype=torch.bool), visible.real], dim=1)
        entered: list[Tensor] | None = [] if asked_for(output_hidden_states, self.config.output_hidden_states) else None
        sequence, position = torch.cat([context, tokens], dim=1), with_context(located["position"])
        hidden = self.transformer(sequence, position, visible.packing, entered)
        states = None if entered is None else (*entered, hidden)
        told = {"structure": batch["structure"], "visible": visible}
        parts = {"last_hidden_state": hidden, "keep": keep, "index": index, "components": components, **told}
        # Training has no use for it.
        pooled = None if self.training else pool(self, EncoderOutput(**parts), batch, "moments")
        output = EncoderOutput(pooler_output=pooled, hidden_states=states, **parts)
        return output if asked_for(return_dict, self.config.return_dict) else output.to_tuple()


_LOCATION = ("position", "link", "shape", "static")  # what `Placement` reads of a batch
