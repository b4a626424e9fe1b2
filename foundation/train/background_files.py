"""Checkpoint files written in the background: the step waits for a copy in host memory, not for the disk.

Lightning's `AsyncCheckpointIO` lets saves queue up, copies on the device, and tells an error only at the next save;
`torch.distributed.checkpoint.async_save` writes a folder in a format of its own. So the writing is a thread here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from foundation.checkpoints.atomic import renamed


class BackgroundFiles(TorchCheckpointIO):
    """Atomic single-file checkpoints, written by a thread, one at a time.

    A save waits for the one before it. Lightning's own files would pass through the temporary folder, often on another
    disk.

    Args:
        afterwards: called by the thread after a checkpoint is written.
    """

    def __init__(self, afterwards: Callable[[], None]) -> None:
        super().__init__()
        self._afterwards = afterwards
        self._written: Future[None] | None = None
        self._stream: torch.cuda.Stream | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Copy the state, and begin to write it. Raises as `finish`, of the save before."""
        self.finish()
        copy = self._copied(checkpoint)
        pool = ThreadPoolExecutor(1, "checkpoint")
        # The thread holds the original too: of a tensor that is freed while it is copied, the memory would be reused.
        self._written = pool.submit(self._write, copy, Path(path), self._stream, checkpoint)
        pool.shutdown(wait=False)

    def finish(self) -> None:
        """Wait until what was saved last is on disk.

        Raises:
            CheckpointError: it could not be written; told once.
        """
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def look(self) -> None:
        """Raise as `finish`, if the last save has ended; do not wait for it."""
        if self._written is not None and self._written.done():
            self.finish()

    def hold(self) -> None:
        """Must be called before weights or the optimizer's state change: on CUDA they may still be read."""
        if self._stream is not None:
            torch.cuda.current_stream().wait_stream(self._stream)  # the device waits, the host does not

    def _copied(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state in host memory; tensors on CUDA arrive once what is queued on `_stream` is done."""
        if not torch.cuda.is_initialized():
            return dict(apply_to_collection(state, Tensor, _on_host, is_pinned=False))
        self._stream = self._stream or torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            return dict(apply_to_collection(state, Tensor, _on_host, is_pinned=True))

    def _write(self, state: dict[str, Any], path: Path, stream: torch.cuda.Stream | None, _: dict[str, Any]) -> None:
        if stream is not None:
            stream.synchronize()
        with renamed(path) as partial, partial.open("wb") as file:
            torch.save(state, file)
        self._afterwards()


def _on_host(tensor: Tensor, is_pinned: bool) -> Tensor:
    copy = torch.empty_like(tensor, device="cpu", pin_memory=is_pinned, requires_grad=False)
    return copy.copy_(tensor.detach(), non_blocking=is_pinned)
