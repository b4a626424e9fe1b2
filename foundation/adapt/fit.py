"""Fine-tuning: fit an encoder and a head to labels with LoRA, in full, or from random weights."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.adapt.lora import with_lora
from foundation.adapt.probe import training_features
from foundation.adapt.select_pooling import readable_poolings, requested_poolings
from foundation.adapt.stacking import Stack, fit_stack
from foundation.config import TuneSection
from foundation.data.images import FieldSet
from foundation.data.labelled import Target, TokenSet
from foundation.data.origins import origins
from foundation.data.shuffle import endless_batches
from foundation.errors import SignalError, TrainingError
from foundation.models import LinearHead, StackedHead, SupervisedNetwork, TaskModel, WfmModel
from foundation.models.untrained import untrained
from foundation.progress import StepProgress

Mode = Literal["lora", "full", "scratch"]

#: Factors of the recipe's learning rates, tried in turn while a fit collapses, see `_has_learnt`.
RATE_FACTORS = (1.0, 0.1, 0.01)
CHECK_EVERY = 20  # steps between two looks at the losses on an accelerator, which has to wait for each
CHECKED = 128  # training samples, evenly spaced, that the check is made on


def fit(
    encoder: WfmModel,
    data: TokenSet,
    rows: np.ndarray,
    targets: np.ndarray,
    target: Target,
    mode: Mode,
    tune: TuneSection,
    seed: int,
    frozen: Mapping[str, np.ndarray] | None = None,
    stack: Stack | None = None,
    progress: bool = False,
) -> TaskModel:
    """Fit a copy of `encoder` and a new head; `encoder` itself is not changed.

    The head is first fitted to frozen features: a random head would distort the features in the first steps, most
    harmfully under domain shift (Kumar et al. 2022, arXiv 2202.10054). If a step moves features far from all kernel
    centres, gradients vanish and the fit collapses; it is then repeated at a tenth of its learning rates, with a
    warning, because a collapsed baseline would flatter what it is compared with.

    Args:
        data: n samples as tokens.
        rows: indices of the samples to train on.
        targets: of all samples: int64 [n] classes or float64 [n, size] numbers.
        mode: `lora` trains adapters and head, `full` all weights, `scratch` all weights from random ones.
        frozen: `training_features` of these rows for every pooling that `tune` names, if already computed.
        stack: the head to start from, if already fitted to these rows.

    Raises:
        TrainingError: the loss is not finite.
    """
    network = _trainable(encoder, mode, tune, seed)
    if stack is None:
        if frozen is None:
            poolings = requested_poolings(tune.pooling, (s.values.shape for s in data.signals), encoder.config)
            if mode != "scratch":
                poolings = readable_poolings(poolings, encoder)
            frozen = training_features(network.eval(), data, poolings, rows, tune.augment)
        stack = fit_stack(frozen, targets[rows], target.size, origins(data.signals[i] for i in rows), seed)
    model = TaskModel(network, stack.head.to(encoder.device), stack.pooling)
    peak = tune.learning_rate if mode == "lora" else tune.full_learning_rate
    groups, name = _groups(model, peak, tune), f"fit {target.label} ({mode})"
    steps = min(tune.steps, math.ceil(tune.max_epochs * len(rows) / tune.batch_size))
    start = [[p.detach().clone() for p in group["params"]] for group in groups]
    for factor in RATE_FACTORS:
        for group, values in zip(groups, start, strict=True):
            torch._foreach_copy_([p.data for p in group["params"]], values)
        scaled = [{**group, "lr": factor * group["lr"]} for group in groups]
        optimise(model, scaled, data, rows, targets, tune, steps, seed, name, progress)
        if _has_learnt(model, data, rows, targets):
            break
        key = "learning_rate" if mode == "lora" else "full_learning_rate"
        warnings.warn(f"{name}: the fit collapsed at {factor:g} times the rate; lower tune.{key}.", stacklevel=2)
    return model


def _trainable(encoder: WfmModel, mode: Mode, tune: TuneSection, seed: int) -> nn.Module:
    """The network to train in this mode; seeds torch's global generator."""
    if mode == "scratch":
        network = untrained(WfmModel, encoder.config, seed)
        nn.Module.to(network, encoder.device)
        return network
    torch.manual_seed(seed)
    network = copy.deepcopy(encoder)
    if mode == "full":
        return network
    return with_lora(network, tune.lora_rank)


def optimise(
    model: TaskModel | SupervisedNetwork,
    groups: list[dict],
    data: TokenSet | FieldSet,
    rows: np.ndarray,
    targets: np.ndarray,
    tune: TuneSection,
    steps: int,
    seed: int,
    description: str,
    progress: bool = False,
) -> None:
    """Train the parameters of `groups` with AdamW for `steps` on these rows; leaves the model in evaluation mode.

    Raises:
        TrainingError: the loss is not finite.
    """
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(groups, weight_decay=tune.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    order = endless_batches(rows, min(tune.batch_size, len(rows)), rng)
    device, losses = next(model.parameters()).device, list[Tensor]()  # losses that have not been looked at
    model.train()
    with StepProgress(quiet=not progress) as bar:
        for step in bar.track(range(steps), description=description):
            chosen = next(order)
            batch = data.batch(chosen, tune.augment, seed + step)
            truth = torch.from_numpy(targets[chosen]).to(device, non_blocking=True)
            loss = task_loss(model(**model.inputs(batch)), truth, model.head)
            losses.append(loss.detach())
            if device.type == "cpu" or len(losses) == CHECK_EVERY or step + 1 == steps:
                _demand_finite(torch.stack(losses).tolist(), step)
                losses = []
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    model.eval()


@torch.no_grad()
def predict(model: TaskModel | SupervisedNetwork, data: TokenSet | FieldSet) -> np.ndarray:
    """Logits float32 or numbers float64 of all samples, [n, outputs].

    Raises:
        SignalError: there are no samples, or they are of another kind than a loaded adapter was fitted to.
    """
    if not len(data):
        raise SignalError("predict: no signals; a recording shorter than one window gives none.")
    if isinstance(model, TaskModel) and model.seen is not None:
        model.seen.check(data.signals)
    model.eval()
    return torch.cat([_single(model(**model.inputs(batch))) for batch in data.batches()]).cpu().numpy()


def _demand_finite(losses: list[float], last: int) -> None:
    """Check the losses of the steps up to `last`.

    Raises:
        TrainingError: one is not finite.
    """
    for step, loss in enumerate(losses, last + 1 - len(losses)):
        if not math.isfinite(loss):
            raise TrainingError(f"fine-tuning loss is {loss} at step {step}; lower tune.learning_rate.")


def _single(output: Tensor) -> Tensor:
    """Half precision as single; single and double as they are."""
    return output.float() if output.element_size() < 4 else output


def task_loss(output: Tensor, target: Tensor, head: StackedHead | LinearHead) -> Tensor:
    """Cross-entropy for classes int64 [n]; Huber loss on standardised targets for numbers float64 [n, size]."""
    if target.dtype == torch.int64:
        return F.cross_entropy(output, target)
    found, truth = ((each - head.target_mean) / head.target_std for each in (output, target))
    return F.smooth_l1_loss(found.float(), truth.float())


@torch.no_grad()
def _has_learnt(model: TaskModel, data: TokenSet, rows: np.ndarray, targets: np.ndarray) -> bool:
    """Whether the training loss is clearly below that of the best constant prediction."""
    some = rows[:: 1 + (len(rows) - 1) // CHECKED]
    output = model(**model.inputs(data.batch(some)))
    truth = torch.from_numpy(targets[some]).to(output.device)
    one = F.one_hot(truth, output.shape[1]).float().mean(0).log() if truth.dtype == torch.int64 else truth.mean(0)
    constant = task_loss(one.expand_as(output), truth, model.head)
    return bool(constant == 0) or bool(task_loss(output, truth, model.head) < 0.9 * constant)


def _groups(model: TaskModel, peak: float, tune: TuneSection) -> list[dict]:
    """Parameter groups: the encoder at rate `peak`, the head at `tune.learning_rate`."""
    body = [p for p in model.encoder.parameters() if p.requires_grad]
    return [{"params": body, "lr": peak}, {"params": list(model.head.parameters()), "lr": tune.learning_rate}]


def _rate(step: int, steps: int) -> float:
    """Factor of the learning rate: linear warm-up over a tenth of the steps, then cosine decay to 0."""
    warmup = max(1, steps // 10)
    return (
        (step + 1) / warmup if step < warmup else (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2
    )
