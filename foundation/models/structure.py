"""What a batch asks of the host, found before the network runs: counts as Python numbers, places as index tensors.

A network that asked its tensors for them would make an accelerator wait for each answer. Made from tensors on the CPU,
where a batch is made; a forward pass that was given none makes its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.utils._pytree import tree_map_only

from foundation.nn.packing import Packing, pack
from foundation.nn.patches import cut
from foundation.nn.tracing import tracing

CONTEXT_TOKENS = 2  # in front of every sequence: (kind, carrier, bandwidth, sampling interval); levels of the signal

T = TypeVar("T")


@dataclass(frozen=True)
class Structure:
    """What holds for a batch whatever is hidden of it.

    Attributes:
        columns, links: the most that a sample has.
        samples: patch shape -> the samples that are cut into it; all tokens of a sample have one shape.
        order: where each sample of the batch is among these, one shape after the other; None where there is one shape.
        static: patch shape -> rows of its static tokens in the flattened batch.
        extra: how many tokens of other knowledge the decoder is given, after the context tokens.
        packing: of these and all tokens that exist, for the decoder.
    """

    columns: int
    links: int
    samples: dict[int, Int[Tensor, " _"]]
    order: Int[Tensor, " batch"] | None
    static: dict[int, Int[Tensor, " _"]]
    extra: int
    packing: Packing

    def twice(self) -> Structure:
        """Of the batch followed by itself."""
        batch, tokens = self.packing.batch, self.packing.length - CONTEXT_TOKENS - self.extra
        samples = {shape: torch.cat([rows, rows + batch]) for shape, rows in self.samples.items()}
        return replace(
            self,
            samples=samples,
            order=None if self.order is None else torch.cat(list(samples.values())).argsort(),
            static={shape: torch.cat([rows, rows + batch * tokens]) for shape, rows in self.static.items()},
        )

    @classmethod
    def of(cls, batch: Mapping[str, Any], extra: int = 0) -> Structure:
        """Of a batch of `foundation.data.tokens`; where it has no `exists`, all tokens are real."""
        shape, static = batch["shape"][:, 0], batch["static"]
        samples = {index: (shape == index).nonzero().squeeze(1) for index in shape.unique().tolist()}
        exists = batch.get("exists", torch.ones_like(static))
        return cls(
            columns=int(batch["column"].max()) + 1,
            links=int(batch["grid"][..., 1].max()) + 1,
            samples=samples,
            order=torch.cat(list(samples.values())).argsort() if len(samples) > 1 else None,
            static={each: rows_of(static & (shape == each)[:, None]) for each in samples},
            extra=extra,
            packing=_packing(exists, extra),
        )


@dataclass(frozen=True)
class Visible:
    """The tokens that the encoder sees.

    Attributes:
        mask: over the tokens of the batch.
        index: of each visible token among the tokens of its sample; samples of fewer are padded with hidden ones.
        real: those of `index` that are no padding.
        packing: of the context tokens and the real ones.
        content: for every embedding of contents (patch shapes, then static tokens), the rows of flattened `index` that
            it embeds; None where a graph is recorded.
        summary: patch shape -> rows of flattened `index` that summarise a column; None where a graph is recorded.
    """

    mask: Bool[Tensor, "batch tokens"]
    index: Int[Tensor, "batch visible"]
    real: Bool[Tensor, "batch visible"]
    packing: Packing
    content: tuple[Int[Tensor, " _"], ...] | None
    summary: dict[int, Int[Tensor, " _"]] | None

    @classmethod
    def of(cls, mask: Bool[Tensor, "batch tokens"], batch: Mapping[str, Any], shapes: int) -> Visible:
        """Of these tokens of a batch; `shapes` is the number of patch shapes of the network."""
        graph = tracing()
        most = mask.shape[1] if graph else max(1, int(mask.sum(1).max()))
        index = (~mask).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
        real = mask.gather(1, index)
        if graph:
            return cls(mask, index, real, _packing(real), None, None)
        static, shape = (batch[name].gather(1, index) for name in ("static", "shape"))
        summary = summary_tokens(batch).gather(1, index) & real
        content = tuple(rows_of(real & ~static & (shape == each)) for each in range(shapes))
        return cls(
            *(mask, index, real, _packing(real)),
            content=(*content, rows_of(real & static)),
            summary={each: rows_of(summary & (shape == each)) for each in range(shapes)},
        )


torch.export.register_dataclass(Structure)
torch.export.register_dataclass(Visible)


def inputs_of(batch: Mapping[str, Any], shapes: int, device: torch.device | str) -> dict[str, Any]:
    """Keyword arguments of an encoder that sees every measured token: the batch, what it asks of the host, on a device.

    Args:
        batch: collated, or cut already.
        shapes: number of patch shapes of the network.
    """
    visible = Visible.of(batch["measured"], batch, shapes)
    return cut(to_device({**batch, "structure": Structure.of(batch), "visible": visible}, device))


def rows_of(chosen: Bool[Tensor, "batch tokens"]) -> Int[Tensor, " _"]:
    """Rows of the chosen tokens in the flattened batch."""
    return chosen.flatten().nonzero().squeeze(1)


def batch_rows(index: Int[Tensor, "batch visible"], tokens: int) -> Int[Tensor, " _"]:
    """Row in the flattened batch of every entry of an index into samples of so many tokens."""
    return (index + tokens * torch.arange(len(index), device=index.device)[:, None]).flatten()


def summary_tokens(batch: Mapping[str, Any]) -> Bool[Tensor, "batch tokens"]:
    """Which tokens summarise a column: static tokens, or the patches of a single snapshot, which has no static ones."""
    static = batch["static"]
    return static | ~static.any(1, keepdim=True)


def to_device(tree: T, device: torch.device | str) -> T:
    """All tensors of nested dictionaries, tuples and the classes above, sent without waiting for them to arrive."""
    moved: T = tree_map_only(Tensor, lambda tensor: tensor.to(device, non_blocking=True), tree)
    return moved


def _packing(real: Bool[Tensor, "batch tokens"], extra: int = 0) -> Packing:
    """Of the context tokens, so many extra ones, and these."""
    keep = torch.cat([real.new_ones(len(real), CONTEXT_TOKENS + extra), real], dim=1)
    return pack(keep, *keep.shape)
