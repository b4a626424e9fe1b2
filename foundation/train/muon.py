"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) for matrices, AdamW for all other weights.

`torch.optim.Muon` takes one matrix at a time, has no way to skip a step on the device, and leaves the other weights to
a second optimizer, where a trainer, its schedule and its checkpoints know one. Here matrices of a shape are multiplied
together; the numbers are the same.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

#: Coefficients of the quintic iteration and the number of iterations, those of the source and of torch.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95


class Muon(torch.optim.Optimizer):
    """Muon for parameter groups with `muon: True`, whose parameters are matrices, and fused AdamW for the others.

    Updates of matrices are scaled to the size of AdamW's (Liu et al. 2025, arXiv 2502.16982), so that one learning
    rate and one weight decay serve both.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float]) -> None:
        """See `torch.optim.AdamW` for the arguments."""
        super().__init__(groups, {"lr": lr, "betas": betas, "muon": False, "weight_decay": 0.0})
        self._adamw = torch.optim.AdamW([g for g in self.param_groups if not g["muon"]], lr=lr, betas=betas, fused=True)
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """Groups and state are those of this optimizer, which are saved, loaded and scheduled."""
        self._adamw.param_groups = [group for group in self.param_groups if not group["muon"]]
        self._adamw.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step. Where `found_inf`, a tensor, is set and not zero, no weight changes, as in fused AdamW."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        broken: Tensor | None = getattr(self, "found_inf", None)
        for group in self.param_groups:
            if group["muon"]:
                self._step_matrices(group, broken)
        if broken is not None:
            self._adamw.found_inf = broken  # type: ignore[attr-defined]
        self._adamw.step()
        return loss

    def _step_matrices(self, group: dict[str, Any], broken: Tensor | None) -> None:
        shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is not None:
                shapes[parameter.shape].append(parameter)
                if "momentum" not in self.state[parameter]:
                    self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        for (rows, columns), same in shapes.items():
            gradients = [parameter.grad for parameter in same if parameter.grad is not None]
            momenta = [self.state[parameter]["momentum"] for parameter in same]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            change = orthogonal(torch.stack(torch._foreach_lerp(gradients, momenta, MOMENTUM)))
            change = change.to(same[0].dtype) * (0.2 * math.sqrt(max(rows, columns)))
            if group["weight_decay"]:
                change.add_(torch.stack(same), alpha=group["weight_decay"])
            if broken is not None:
                change = torch.where(broken.bool(), 0, change)
            torch._foreach_add_(same, list(change.unbind()), alpha=-group["lr"])


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly: singular values come between 0.7 and 1.2 (Newton-Schulz).

    Args:
        matrices: [n, a, b], none of them zero.

    Returns:
        [n, a, b], bfloat16.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.bfloat16()
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
