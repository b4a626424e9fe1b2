"""Normalisation of a batch: its columns, and its components given the visible tokens."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from foundation.models.batch import checked_batch
from foundation.models.config import WfmConfig
from foundation.models.structure import Structure
from foundation.nn.columns import Columns
from foundation.nn.decomposition import Components, split
from foundation.nn.precision import without_autocast

#: What the normalisation reads.
_NORMALISED = ("values", "observed", "static", "logarithmic", "shape", "grid", "column")


class Normaliser:
    """What the encoder, and the closed form in its place, do first; `fold` is that of `fold_matrices`."""

    config: WfmConfig
    fold: Tensor

    def columns(self, batch: dict[str, Any]) -> Columns:
        """The columns of a batch, for sums over their tokens."""
        token_type = 2 * batch["shape"] + batch["static"]
        index = batch["grid"][..., 0]
        time = 2 * index / index.amax(1, keepdim=True).clamp(min=1) - 1
        widths = tuple(2 * responses for _, responses in self.config.patch_shapes)
        fields = batch["column"], batch["grid"][..., 1], time, token_type, self.fold, widths
        structure: Structure | None = batch["structure"]
        if structure is None:  # in a graph: never more than there are tokens
            return Columns(*fields, count=index.shape[1], links=index.shape[1])
        counts = structure.columns, structure.links
        return Columns(*fields, *counts, structure.samples, structure.order, structure.static)

    def components(self, batch: dict[str, Any], visible: Bool[Tensor, "batch tokens"]) -> Components:
        """Normalise raw tokens by the visible ones."""
        return self._components(checked_batch(batch), visible)

    def _components(self, batch: dict[str, Any], visible: Bool[Tensor, "batch tokens"]) -> Components:
        static, columns = batch["static"], self.columns(batch)
        # Levels span orders of magnitude: they stay in single precision under any autocast.
        with without_autocast(visible.device):
            return split(batch["values"], batch["observed"], visible, static, batch["logarithmic"], columns)

    def components_of_both(
        self, batch: dict[str, Any], first: Bool[Tensor, "batch tokens"], second: Bool[Tensor, "batch tokens"]
    ) -> tuple[Components, Components]:
        """`components` for each of two masks, at once: on an accelerator that is half of the calls."""
        batch = checked_batch(batch)
        twice = {name: torch.cat([value, value]) for name, value in batch.items() if name in _NORMALISED}
        twice["structure"] = batch["structure"].twice()
        both = self._components(twice, torch.cat([first, second]))
        one, other = zip(*(getattr(both, each.name).chunk(2) for each in fields(both)), strict=True)
        return Components(*one), Components(*other)
