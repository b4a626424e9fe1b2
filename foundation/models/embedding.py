"""Embeddings of raw tokens and of the measurement: content, position, antennas, kind, radio parameters, levels."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from foundation.models.config import KINDS, WfmConfig
from foundation.models.structure import CONTEXT_TOKENS, Visible
from foundation.nn.delay_doppler import DelayDoppler
from foundation.nn.positions import PositionEmbedding, scalar_features

RADIO_SIZE = 3  # log10 of carrier, bandwidth, sampling interval


class Tokenizer(nn.Module):
    """Embeds raw tokens: content, gain, and what `Placement` adds."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        shapes = len(config.patch_shapes)
        self.content = nn.ModuleList(nn.Linear(2 * config.entries, config.hidden_size) for _ in range(shapes + 1))
        self.spectra = nn.ModuleList(
            DelayDoppler(times, responses, config.hidden_size)
            for times, responses in (config.patch_shapes if config.delay_doppler else ())
        )
        self.gain = nn.Linear(scalar_features(torch.zeros(1)).numel(), config.hidden_size)
        self.place = Placement(config, config.hidden_size)

    def forward(
        self,
        values: Float[Tensor, "batch visible entries"],
        observed: Bool[Tensor, "batch visible entries"],
        gain: Float[Tensor, "batch visible"],
        visible: Visible,
        batch: dict[str, Tensor],
    ) -> Float[Tensor, "batch visible width"]:
        """`batch` holds position, link, shape and static of the visible tokens."""
        x = torch.cat([values, observed.to(values.dtype)], dim=-1)
        x = x.to(next(self.content.parameters()).dtype)
        out = self.place(batch) + self.gain(scalar_features(gain[..., None]).to(x.dtype))
        if visible.content is None:
            which = torch.where(batch["static"], len(self.content) - 1, batch["shape"])
            for i in range(len(self.content)):
                out = out + torch.where((visible.real & (which == i))[..., None], self._content(i, x), 0.0)
            return out
        # Also where no token is chosen: DDP and ZeRO want every parameter to take part in every step.
        flat = x.flatten(0, 1)
        content = torch.cat([self._content(i, flat[rows]) for i, rows in enumerate(visible.content)])
        return out.flatten(0, 1).index_add(0, torch.cat(visible.content), content.to(out.dtype)).view_as(out)

    def _content(self, index: int, x: Float[Tensor, "*rows entries"]) -> Float[Tensor, "*rows width"]:
        """Of patches of one shape, or with the last index of static tokens."""
        found: Tensor = self.content[index](x)
        return found + self.spectra[index](x) if index < len(self.spectra) else found


class Placement(nn.Module):
    """Embeds where a token was measured and what it is: position, antenna pair, patch shape, static or dynamic."""

    def __init__(self, config: WfmConfig, hidden: int) -> None:
        super().__init__()
        self.position = PositionEmbedding(hidden)
        self.tx = AntennaEmbedding(config.links, hidden)
        self.rx = AntennaEmbedding(config.links, hidden)
        self.component = nn.Embedding(2 * len(config.patch_shapes), hidden)

    def forward(self, batch: dict[str, Tensor]) -> Float[Tensor, "batch tokens width"]:
        link = batch["link"]
        component = 2 * batch["shape"] + batch["static"]
        return (
            self.position(batch["position"]) + self.tx(link[..., 0]) + self.rx(link[..., 1]) + self.component(component)
        )


class AntennaEmbedding(nn.Module):
    """Embeds the index of an antenna or access point, below `links` squared.

    Two tables, one for each of two digits of the index: far more access points than arrays have antennas can be told
    apart.
    """

    def __init__(self, links: int, hidden: int) -> None:
        super().__init__()
        self.low = nn.Embedding(links, hidden)
        self.high = nn.Embedding(links, hidden, padding_idx=0)

    def forward(self, index: Int[Tensor, "*leading"]) -> Float[Tensor, "*leading width"]:
        size = self.low.num_embeddings
        return self.low(index % size) + self.high(index // size)


class Context(nn.Module):
    """Embeds the measurement: signal kind and radio parameters as one token, levels as another.

    Unknown radio parameters (0 hertz) have an embedding of their own.
    """

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        self.kind = nn.Embedding(KINDS, config.hidden_size)
        size = scalar_features(torch.zeros(1)).numel()
        self.radio = nn.ModuleList(nn.Linear(size, config.hidden_size) for _ in range(RADIO_SIZE))
        self.unknown = nn.Parameter(torch.zeros(RADIO_SIZE, config.hidden_size))
        self.levels = nn.Linear(scalar_features(torch.zeros(3)).numel(), config.hidden_size)

    def forward(
        self, kind: Int[Tensor, " batch"], radio: Float[Tensor, "batch 3"], levels: Float[Tensor, "batch 3"]
    ) -> Float[Tensor, "batch 2 width"]:
        """Context tokens of each sample; `radio` is log10 of carrier, bandwidth and interval, NaN where unknown."""
        first = self.kind(kind)
        known = torch.isfinite(radio)
        radio = torch.where(known, radio, 0.0)  # before the projection: a NaN would survive in its weight gradient
        dtype = self.levels.weight.dtype
        for i, project in enumerate(self.radio):
            value = project(scalar_features(radio[:, i : i + 1]).to(dtype))
            first = first + torch.where(known[:, i : i + 1], value, self.unknown[i])
        second = self.levels(scalar_features(levels).to(dtype))
        return torch.stack([first, second], dim=1)


def with_context(position: Float[Tensor, "batch visible 6"]) -> Float[Tensor, "batch sequence 6"]:
    """Prepend the positions of the context tokens, which are at the origin."""
    return torch.cat([position.new_zeros(len(position), CONTEXT_TOKENS, position.shape[-1]), position], dim=1)
