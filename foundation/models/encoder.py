"""The signal encoder: raw tokens in, one vector per visible token out.

Shapes: B samples, N tokens a sample (padded), E entries a token, K visible tokens, H hidden size, C context tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from foundation.models.config import KINDS, WfmConfig
from foundation.models.statistics_head import StatisticsHead
from foundation.nn.blocks import Transformer
from foundation.nn.decomposition import Columns, Components, fold_matrices, split
from foundation.nn.positions import PositionEmbedding, scalar_features

CONTEXT_TOKENS = 2  # what was measured with (kind, carrier, bandwidth, interval); how strong it was (levels)
RADIO_SIZE = 3  # log10 of carrier, bandwidth, sampling interval


@dataclass
class EncoderOutput(ModelOutput):
    """last_hidden_state [B, C + K, H], context tokens first; keep bool [B, C + K] (False: padding);
    index int64 [B, K]: which input token stands at each place; components: the normalised input."""

    last_hidden_state: Tensor | None = None
    keep: Tensor | None = None
    index: Tensor | None = None
    components: Components | None = None


class Tokenizer(nn.Module):
    """Raw tokens -> embeddings: content, position, link, component."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        shapes = len(config.patch_shapes)
        self.content = nn.ModuleList(nn.Linear(2 * config.entries, config.hidden_size) for _ in range(shapes + 1))
        self.gain = nn.Linear(scalar_features(torch.zeros(1)).numel(), config.hidden_size)
        self.place = Placement(config, config.hidden_size)

    def forward(self, values: Tensor, observed: Tensor, gain: Tensor, real: Tensor, batch: dict[str, Tensor]) -> Tensor:
        x = torch.cat([values, observed.to(values.dtype)], dim=-1)
        x = x.to(next(self.content.parameters()).dtype)
        which = torch.where(batch["static"], len(self.content) - 1, batch["shape"]).masked_fill(~real, -1)
        out = self.place(batch) + self.gain(scalar_features(gain[..., None]).to(x.dtype))
        for i, project in enumerate(self.content):
            # Also where no token is chosen: DDP and ZeRO want every parameter to take part in every step.
            chosen = which == i
            out = out.index_put((chosen,), project(x[chosen]).to(out.dtype), accumulate=True)
        return out


class Placement(nn.Module):
    """Where a token stands: physical position, antenna pair, component and patch shape -> [B, N, hidden]."""

    def __init__(self, config: WfmConfig, hidden: int) -> None:
        super().__init__()
        self.position = PositionEmbedding(hidden)
        self.tx = AntennaEmbedding(config.links, hidden)
        self.rx = AntennaEmbedding(config.links, hidden)
        self.component = nn.Embedding(2 * len(config.patch_shapes), hidden)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        link = batch["link"]
        component = 2 * batch["shape"] + batch["static"]
        return (
            self.position(batch["position"]) + self.tx(link[..., 0]) + self.rx(link[..., 1]) + self.component(component)
        )


class AntennaEmbedding(nn.Module):
    """Index of an antenna or access point, int64 [...] below `links` squared -> [..., hidden].

    Two tables, as of two digits: a checkpoint tells apart far more access points than arrays have antennas.
    """

    def __init__(self, links: int, hidden: int) -> None:
        super().__init__()
        self.low = nn.Embedding(links, hidden)
        self.high = nn.Embedding(links, hidden, padding_idx=0)

    def forward(self, index: Tensor) -> Tensor:
        size = self.low.num_embeddings
        return self.low(index % size) + self.high(index // size)


class Context(nn.Module):
    """What was measured with and how strong it was -> [B, C, H]. Unknown numbers (0 hertz) have their own embedding."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        self.kind = nn.Embedding(KINDS, config.hidden_size)
        size = scalar_features(torch.zeros(1)).numel()
        self.radio = nn.ModuleList(nn.Linear(size, config.hidden_size) for _ in range(RADIO_SIZE))
        self.unknown = nn.Parameter(torch.zeros(RADIO_SIZE, config.hidden_size))
        self.levels = nn.Linear(scalar_features(torch.zeros(3)).numel(), config.hidden_size)

    def forward(self, kind: Tensor, radio: Tensor, levels: Tensor) -> Tensor:
        first = self.kind(kind)
        known = torch.isfinite(radio)
        radio = torch.where(known, radio, 0.0)  # before the projection: a NaN would survive in its weight gradient
        dtype = self.levels.weight.dtype
        for i, project in enumerate(self.radio):
            value = project(scalar_features(radio[:, i : i + 1]).to(dtype))
            first = first + torch.where(known[:, i : i + 1], value, self.unknown[i])
        second = self.levels(scalar_features(levels).to(dtype))
        return torch.stack([first, second], dim=1)


class WfmPreTrainedModel(PreTrainedModel):
    """Weight initialisation and naming shared by every head."""

    config: WfmConfig
    config_class = WfmConfig
    base_model_prefix = "encoder"
    main_input_name = "values"
    supports_gradient_checkpointing = True

    def _init_weights(self, module: nn.Module) -> None:
        """Xavier (as masked autoencoders use), zero biases; adaLN gates start at zero and stay so."""
        if isinstance(module, nn.Linear) and not bool((module.weight == 0).all()):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            # As loud as the content: which antenna and which component a token is must be heard from the first step.
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
        """Which tokens share a column, and how their entries fall into it."""
        which = 2 * batch["shape"] + batch["static"]
        time = batch["grid"][..., 0]
        moment = 2 * time / time.amax(1, keepdim=True).clamp(min=1) - 1
        widths = tuple(2 * responses for _, responses in self.config.patch_shapes)
        return Columns(batch["column"], batch["grid"][..., 1], moment, which, self.fold, widths)

    def components(self, batch: dict[str, Tensor], visible: Tensor) -> Components:
        """Normalise raw tokens by what is visible."""
        static, columns = batch["static"], self.columns(batch)
        # Levels span orders of magnitude: they stay in single precision under any autocast.
        with torch.autocast(visible.device.type, enabled=False):
            return split(batch["values"], batch["observed"], visible, static, batch["logarithmic"], columns)

    def forward(
        self, visible: Tensor | None = None, components: Components | None = None, **batch: Any
    ) -> EncoderOutput:
        """Encode the visible tokens.

        Args:
            visible: bool [B, N]; default: every token with a measured entry.
            components: already normalised tokens, for generation, where nothing may be visible yet.
            batch: values, observed [B, N, E]; position [B, N, 6]; link [B, N, 2]; grid [B, N, 3]; column, shape,
                static [B, N]; kind, logarithmic [B]; radio [B, 3].
        """
        if visible is None:
            visible = batch["observed"].any(-1)
        if components is None:
            components = self.components(batch, visible)
        index = (~visible).to(torch.uint8).argsort(dim=1, stable=True)[:, : max(1, int(visible.sum(1).max()))]
        places = _take_all(index, batch)
        # Only where the static response is told: dynamics look the same whatever automatic gain control does.
        gain = torch.where(summaries(batch), components.gain, 0.0)
        real = visible.gather(1, index)
        tokens = self.tokenizer(*take(index, components.values, batch["observed"], gain), real, places)
        context = self.context(batch["kind"], batch["radio"], components.levels())
        keep = torch.cat([visible.new_ones(len(visible), CONTEXT_TOKENS), real], dim=1)
        hidden = self.transformer(torch.cat([context, tokens], dim=1), with_context(places["position"]), keep)
        return EncoderOutput(last_hidden_state=hidden, keep=keep, index=index, components=components)


def with_context(position: Tensor) -> Tensor:
    """Positions [B, K, 6] with those of the context tokens, which stand at the origin, in front."""
    return torch.cat([position.new_zeros(len(position), CONTEXT_TOKENS, position.shape[-1]), position], dim=1)


def summaries(batch: dict[str, Tensor]) -> Tensor:
    """bool [B, N] which tokens sum up a column: static ones; of a single snapshot, which has none, its patches."""
    static = batch["static"]
    return static | ~static.any(1, keepdim=True)


_PER_TOKEN = ("position", "link", "shape", "static")


def take(index: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Rows `index` [B, K] of tensors [B, N, ...]."""
    rows = torch.arange(len(index), device=index.device)[:, None]
    return tuple(t[rows, index] for t in tensors)


def _take_all(index: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(zip(_PER_TOKEN, take(index, *(batch[name] for name in _PER_TOKEN)), strict=True))
