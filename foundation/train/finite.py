"""Whether losses and gradient norms are finite, found out without making the host wait for an accelerator."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class _Sent:
    """A value on its way to the host, and what to do if it is not finite."""

    value: Tensor
    arrival: torch.cuda.Event | None
    refuse: Callable[[Tensor], None]


class FiniteWatch:
    """Looks at values once they have arrived, a step or two later; the optimizer has skipped such a step by itself."""

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque()

    def add(self, value: Tensor, refuse: Callable[[Tensor], None]) -> None:
        """Send a number to the host; `refuse` is called with it, by `look`, if it is not finite."""
        on_cuda = value.is_cuda
        host = torch.empty_like(value, device="cpu", pin_memory=on_cuda)
        host.copy_(value.detach(), non_blocking=True)
        arrival = torch.cuda.Event() if on_cuda else None
        if arrival is not None:
            arrival.record()
        self._sent.append(_Sent(host, arrival, refuse))

    def look(self, wait: bool = False) -> None:
        """Refuse what has arrived and is not finite; with `wait`, also what has yet to arrive."""
        while self._sent:
            arrival = self._sent[0].arrival
            if arrival is not None and wait:
                arrival.synchronize()
            if arrival is not None and not arrival.query():
                return
            sent = self._sent.popleft()
            if not bool(torch.isfinite(sent.value)):
                sent.refuse(sent.value)
