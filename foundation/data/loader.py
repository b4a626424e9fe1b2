"""Batches from worker processes. Passing a tensor between processes costs a tenth of a millisecond, however small: the
tensors of a batch are sent as one, which also makes one copy to an accelerator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.data import DataLoader, IterableDataset

from foundation.data.stream import ShardStream

_ALIGNED = 64  # bytes


class Loader:
    """The batches of a `ShardStream`, prefetched by `workers` processes; 0: read in this process.

    Args:
        device: where the tensors of a batch are wanted. To CUDA they travel from pinned memory, on a stream of their
            own, while the batch before is computed.
    """

    def __init__(self, stream: ShardStream, workers: int, device: torch.device | str = "cpu") -> None:
        self.stream, self.workers, self.device = stream, workers, torch.device(device)

    def __len__(self) -> int:
        return len(self.stream)

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        pinned = self.device.type == "cuda"
        if self.workers == 0 and not pinned:
            yield from self.stream
            return
        parcels = DataLoader(_Parcels(self.stream), batch_size=None, num_workers=self.workers, pin_memory=pinned)
        if pinned:
            yield from _sent_ahead(parcels, self.device)
        else:
            yield from ((parcel.unpacked(), position) for parcel, position in parcels)


@dataclass(frozen=True)
class _Place:
    """Where a tensor lies among the bytes of a parcel."""

    dtype: torch.dtype
    shape: torch.Size
    first: int

    def of(self, content: Tensor) -> Tensor:
        """The tensor, as a view."""
        size = self.shape.numel() * self.dtype.itemsize
        return content[self.first : self.first + size].view(self.dtype).view(self.shape)


@dataclass(frozen=True)
class Parcel:
    """A batch of nested dictionaries, tuples and registered classes, with its tensors packed into one of bytes.

    Attributes:
        layout: the batch with a `_Place` for each tensor.
    """

    content: Tensor
    layout: Any

    @classmethod
    def of(cls, batch: Any) -> Parcel:
        end = 0

        def place(tensor: Tensor) -> _Place:
            nonlocal end
            first, end = end, end + -(-tensor.nbytes // _ALIGNED) * _ALIGNED
            return _Place(tensor.dtype, tensor.shape, first)

        layout = tree_map_only(Tensor, place, batch)
        content = torch.empty(end, dtype=torch.uint8)
        for tensor, where in zip(tree_leaves(batch), tree_leaves(layout), strict=True):
            if isinstance(where, _Place):
                where.of(content).copy_(tensor)
        return cls(content, layout)

    def unpacked(self, content: Tensor | None = None) -> Any:
        """The batch, whose tensors are views of `content`, a copy of the parcel's on any device."""
        whole = self.content if content is None else content
        return tree_map_only(_Place, lambda place: place.of(whole), self.layout)

    def pin_memory(self) -> Parcel:
        """What a `DataLoader` asks for."""
        return Parcel(self.content.pin_memory(), self.layout)


def _sent_ahead(parcels: Iterable[tuple[Parcel, int]], device: torch.device) -> Iterator[tuple[Any, int]]:
    """Batches on a CUDA device, the next of which is on its way while one is used."""
    side = torch.cuda.Stream(device)
    before: tuple[Parcel, Tensor, int] | None = None

    def arrived(parcel: Parcel, content: Tensor, position: int) -> tuple[Any, int]:
        current = torch.cuda.current_stream(device)
        current.wait_stream(side)
        content.record_stream(current)
        return parcel.unpacked(content), position

    for parcel, position in parcels:
        with torch.cuda.stream(side):
            content = parcel.content.to(device, non_blocking=True)
        if before is not None:
            yield arrived(*before)
        before = parcel, content, position
    if before is not None:
        yield arrived(*before)


class _Parcels(IterableDataset):
    def __init__(self, stream: ShardStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[tuple[Parcel, int]]:
        return ((Parcel.of(batch), position) for batch, position in self.stream)
