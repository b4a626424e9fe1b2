"""The whole training step: a LightningModule that draws nothing, decides nothing and only joins the parts."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer

from foundation.errors import TrainingError
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.nn.blocks import compile_blocks
from foundation.objectives import MaskedObjective
from foundation.recipe import PretrainRecipe
from foundation.train.dump import draws_of, leave_dump


class PretrainModule(L.LightningModule):
    """Masked signal modelling of one recipe."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.model = WfmForMaskedModeling(model_config(recipe))
        if recipe.train.compile:
            compile_blocks(self.model)
        self.objective = MaskedObjective(**recipe.objective.model_dump())
        self.batch: dict[str, Tensor] | None = None  # that the step is made of
        self.position: int | None = None  # in the stream, behind the step that was last taken

    def training_step(self, drawn: tuple[dict[str, Tensor], int], batch_idx: int) -> dict[str, Any]:
        self.batch, self.position = drawn
        draws = draws_of(self.recipe.seed, self.global_step, self.global_rank)
        loss, metrics = self.objective(self.model, self.batch, draws)
        self._demand_finite("loss", loss)
        tokens = metrics.pop("tokens")
        self.log_dict({"loss": loss.detach(), **metrics}, prog_bar=True)
        return {"loss": loss, "samples": len(self.batch["kind"]), "tokens": tokens}

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip and watch the gradient before the step. Not called under ZeRO, where DeepSpeed clips by itself."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), self.recipe.train.clip_norm)
        self._demand_finite("gradient norm", norm)
        self.log("gradient_norm", norm)

    def _demand_finite(self, name: str, value: Tensor) -> None:
        if bool(torch.isfinite(value)):
            return
        assert self.batch is not None
        where = self.recipe.out / "dumps"
        dump = leave_dump(where, self.model, self.batch, self.global_step, self.global_rank, self.recipe.seed)
        raise TrainingError(
            f"{name} is {value.item()} at step {self.global_step}; the optimizer did not step. The last checkpoint is "
            "good: lower train.learning_rate or look at the data with 'wfm shards verify'. "
            f"{dump} repeats the step: foundation.train.dump.replay."
        )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        train = self.recipe.train
        optimizer = torch.optim.AdamW(
            _groups(self.model, train.weight_decay), lr=train.learning_rate, betas=(0.9, 0.95), fused=True
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate(step, train.warmup_steps, train.steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["recipe"] = self.recipe.model_dump(mode="json")


def model_config(recipe: PretrainRecipe) -> WfmConfig:
    """The network's configuration of a recipe."""
    numbers = recipe.model.model_dump()
    numbers["patch_shapes"] = [list(shape) for shape in recipe.model.patch_shapes]
    return WfmConfig(**numbers)


def rate(step: int, warmup: int, total: int) -> float:
    """Linear warm-up, then a cosine down to a tenth."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2


def _groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices only: decaying a bias, a norm or an embedding moves what it means."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    decay = [p for p in model.parameters() if p.ndim >= 2 and id(p) not in embeddings]
    rest = [p for p in model.parameters() if p.ndim < 2 or id(p) in embeddings]
    return [{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
