"""Base class of callbacks that act after an optimizer step.

Lightning's batch hooks run after every micro-batch of gradient accumulation instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import lightning as L

from foundation.train.module import PretrainModule


class Stepwise(L.Callback, ABC):
    """Calls `after_step` on all ranks once the optimizer has stepped."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, PretrainModule)
        if pl_module.ends_step:
            self.after_step(trainer, pl_module)

    @abstractmethod
    def after_step(self, trainer: L.Trainer, module: PretrainModule) -> None:
        """Called after `trainer.global_step` optimizer steps."""
