"""LightningModule of masked signal modelling: joins network, objective, optimizer and logging."""

from __future__ import annotations

from functools import partial
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import DeepSpeedStrategy
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from foundation.config import PretrainRecipe
from foundation.errors import TrainingError
from foundation.models import WfmForMaskedModeling
from foundation.models.config import model_config
from foundation.models.structure import to_device
from foundation.nn.blocks import compile_blocks
from foundation.nn.patches import cut
from foundation.objectives import MaskedObjective
from foundation.objectives.masked import Task
from foundation.train.failed_step import leave_dump
from foundation.train.finite import FiniteWatch
from foundation.train.gradient_check import LocalGradients
from foundation.train.optim import make_optimizer, rate


class PretrainModule(L.LightningModule):
    """Masked signal modelling of one recipe."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.model = WfmForMaskedModeling(model_config(recipe))
        if recipe.train.compile:
            compile_blocks(self.model)
        self.objective = MaskedObjective(**recipe.objective.model_dump())
        for network in (self.model.encoder.transformer, self.model.decoder.transformer):
            network.gradient_checkpointing = recipe.train.activation_checkpointing
        self.batch: dict[str, Any] | None = None  # current batch
        self.position: int | None = None  # in the stream, after the current batch
        self.sums: dict[str, Tensor] = {}  # running mean of metrics over the batches of a step
        self.watch: FiniteWatch | None = None  # on an accelerator
        self.broken: Tensor | None = None  # whether a gradient norm of this process was not finite, on an accelerator
        self.number = -1  # index of the batch within its step, on this process

    def on_fit_start(self) -> None:
        strategy = self.trainer.strategy
        self.engine = strategy if isinstance(strategy, DeepSpeedStrategy) else None
        if self.engine is not None:
            self.gradients = LocalGradients(self.model)
        # On the CPU nothing has to be waited for, and the step that fails is the one that stops.
        self.watch = None if self.device.type == "cpu" else FiniteWatch()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self.watch is not None:
            self.watch.look()

    def on_train_end(self) -> None:
        if self.watch is not None:
            self.watch.look(wait=True)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return to_device(batch, device)  # where the loader has not sent it there already

    def training_step(self, drawn: tuple[tuple[dict[str, Any], Task], int], batch_idx: int) -> dict[str, Any]:
        (collated, task), self.position = drawn
        self.batch = cut(collated)
        self.number = (self.number + 1) % self.recipe.train.accumulate
        loss, metrics = self.objective.loss(self.model, self.batch, task)
        self._demand_finite("loss", loss)
        self._log({"loss": loss.detach(), **metrics})
        return {"loss": loss, "samples": len(self.batch["kind"]), "tokens": task.tokens}

    @property
    def ends_step(self) -> bool:
        """Whether the current batch is the last of its optimizer step."""
        return self.number + 1 == self.recipe.train.accumulate

    @property
    def place(self) -> int:
        """Index of the batch within its step over all processes, independent of which process takes it."""
        return self.global_rank + self.trainer.world_size * self.number

    def _log(self, metrics: dict[str, Tensor]) -> None:
        """Log the mean over the batches of a step; at logged steps also over all processes."""
        count = self.recipe.train.accumulate
        before = self.sums if self.number else {}
        self.sums = {name: before.get(name, 0) + value / count for name, value in metrics.items()}
        if self.ends_step:
            values = torch.stack(list(self.sums.values()))
            if (self.global_step + 1) % self.recipe.train.log_every == 0:
                values = self.trainer.strategy.reduce(values, reduce_op="mean")
            self.log_dict(dict(zip(self.sums, values, strict=True)))

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Under DeepSpeed, which clips itself: all processes stop if a gradient of any is not finite."""
        if self.engine is not None and self.engine.reduce_boolean_decision(self.gradients.broken(), all=False):
            self._demand_finite("a gradient", torch.tensor(float("nan")))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.engine is not None and (norm := self.engine.deepspeed_engine.get_global_grad_norm()) is not None:
            self.log("gradient_norm", float(norm))

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the gradient and check its norm before the step. DeepSpeed clips itself."""
        if self.engine is None:
            norm = torch.nn.utils.clip_grad_norm_(self.parameters(), self.recipe.train.clip_norm)
            if isinstance(norm, DTensor):
                norm = norm.full_tensor()
            if self.watch is not None:
                # A fused optimizer skips the step itself, on the device, and all after it: the weights stay those that
                # the dump needs until the host knows.
                bad = ~torch.isfinite(norm)
                self.broken = bad if self.broken is None else self.broken | bad
                optimizer.found_inf = self.broken.float()  # type: ignore[attr-defined]
            self._demand_finite("gradient norm", norm)
            self.log("gradient_norm", norm)

    def _demand_finite(self, name: str, value: Tensor) -> None:
        assert self.batch is not None
        refuse = partial(self._refuse, name, self.batch, self.global_step, self.place)
        if self.watch is not None:
            self.watch.add(value, refuse)
        elif not bool(torch.isfinite(value)):
            refuse(value)

    def _refuse(self, name: str, batch: dict[str, Any], step: int, place: int, value: Tensor) -> None:
        dump = leave_dump(self.recipe.out / "dumps", self.model, batch, step, place, self.recipe.seed)
        raise TrainingError(
            f"{name} is {value.item()} at step {step}; the optimizer did not step. The last checkpoint is good: lower "
            "train.learning_rate or look at the data with 'wfm shards verify'. "
            f"{dump} repeats the step: foundation.train.failed_step.replay."
        )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        train = self.recipe.train
        optimizer = make_optimizer(self.model, train)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, train))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Count batches in those of this process: the run may have had another number of them in a step until now."""
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            more = checkpoint["global_step"] * self.recipe.train.accumulate - counts["ready"]
            counts.update({name: count + more for name, count in counts.items()})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.watch is not None:
            self.watch.look(wait=True)
        checkpoint["recipe"] = self.recipe.model_dump(mode="json")
