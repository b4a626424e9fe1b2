"""Batches from worker processes. Passing a tensor between processes costs a tenth of a millisecond, however small: the
tensors of a batch are sent as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from foundation.data.stream import ShardStream
from foundation.data.tokens import Batch

_ALIGNED = 64  # bytes


class Loader:
    """The batches of a `ShardStream`, prefetched by `workers` processes; 0: read in this process."""

    def __init__(self, stream: ShardStream, workers: int) -> None:
        self.stream, self.workers = stream, workers

    def __len__(self) -> int:
        return len(self.stream)

    def __iter__(self) -> Iterator[tuple[Batch, int]]:
        if self.workers == 0:
            yield from self.stream
            return
        for parcel, position in DataLoader(_Parcels(self.stream), batch_size=None, num_workers=self.workers):
            yield parcel.batch(), position


@dataclass(frozen=True)
class Parcel:
    """A batch packed into one tensor of bytes; `layout`: name, dtype, shape and first byte of each tensor."""

    content: Tensor
    layout: tuple[tuple[str, torch.dtype, torch.Size, int], ...]

    @classmethod
    def of(cls, batch: Batch) -> Parcel:
        layout, end = [], 0
        for name, tensor in batch.items():
            layout.append((name, tensor.dtype, tensor.shape, end))
            end += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
        parcel = cls(torch.empty(end, dtype=torch.uint8), tuple(layout))
        for name, tensor in parcel.batch().items():
            tensor.copy_(batch[name])
        return parcel

    def batch(self) -> Batch:
        """The tensors of the batch, as views."""
        return {
            name: self.content[first : first + shape.numel() * dtype.itemsize].view(dtype).view(shape)
            for name, dtype, shape, first in self.layout
        }


class _Parcels(IterableDataset):
    def __init__(self, stream: ShardStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[tuple[Parcel, int]]:
        return ((Parcel.of(batch), position) for batch, position in self.stream)
