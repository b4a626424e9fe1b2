"""Fit an encoder to labels: with LoRA, in full, or from scratch. One plain loop, readable on one screen."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.adapt.probe import training_features
from foundation.adapt.select_pooling import asked_poolings
from foundation.adapt.stacking import fit_stack
from foundation.config import TuneSection
from foundation.data.images import FieldSet
from foundation.data.labelled import Target, TokenSet
from foundation.errors import SignalError, TrainingError
from foundation.models import LinearHead, StackedHead, SupervisedNetwork, TaskModel, WfmModel

Mode = Literal["lora", "full", "scratch"]

#: Where LoRA attaches: every matrix of the encoder's blocks (Hu et al. 2021 adapt attention; all is the safer default).
LORA_MODULES = ["qkv", "proj", "up", "down"]

#: Of the rates that a recipe asks for, in turn, for as long as a fit comes to nothing, see `_learnt`.
RATE_SHARES = (1.0, 0.1, 0.01)
CHECKED = 128  # training samples, spread evenly, that say whether it did


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
    progress: bool = False,
) -> TaskModel:
    """Fit a copy of `encoder` and a new head; the encoder passed in is left as it was.

    Bumps that features are driven away from, as those of random weights in the first step, have no gradient left to
    come back by. A fit that ends so is begun again at a tenth of its rates, with a warning: a baseline that collapsed
    would only flatter what it is compared with.

    Args:
        rows: samples of `data` to train on.
        targets: for all of `data`: int64 [n] classes or float32 [n, size].
        mode: `lora` trains adapters and head, `full` everything, `scratch` everything from random weights.
        frozen: `training_features` of these rows and every pooling that `tune` asks for, where the caller has them
            already.

    Raises:
        TrainingError: the loss is not finite.
    """
    torch.manual_seed(seed)
    network: nn.Module = WfmModel(encoder.config) if mode == "scratch" else copy.deepcopy(encoder)
    if mode == "lora":
        lora = LoraConfig(r=tune.lora_rank, lora_alpha=2 * tune.lora_rank, target_modules=LORA_MODULES)
        with warnings.catch_warnings():  # PEFT asks transformers by a name that transformers is about to drop
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
            network = get_peft_model(network, lora)
    # The head is fitted before anything is tuned: a random one would first bend the features towards itself, which
    # costs most where the test domain differs from the training domain (Kumar et al. 2022, arXiv 2202.10054).
    if frozen is None:
        asked = asked_poolings(tune.pooling, (s.values.shape for s in data.signals), encoder.config)
        frozen = training_features(network.eval(), data, asked, rows, tune.augment)
    stack = fit_stack(frozen, targets[rows], target.size, [data.signals[i].session for i in rows], seed)
    model = TaskModel(network, stack.head, stack.pooling)
    peak = tune.learning_rate if mode == "lora" else tune.full_learning_rate
    groups, name = _groups(model, peak, tune), f"fit {target.label} ({mode})"
    steps = min(tune.steps, math.ceil(tune.max_epochs * len(rows) / tune.batch_size))
    start = [[p.detach().clone() for p in group["params"]] for group in groups]
    for share in RATE_SHARES:
        for group, values in zip(groups, start, strict=True):
            torch._foreach_copy_([p.data for p in group["params"]], values)
        slower = [{**group, "lr": share * group["lr"]} for group in groups]
        descend(model, slower, data, rows, targets, tune, steps, seed, name, progress)
        if _learnt(model, data, rows, targets):
            break
        key = "learning_rate" if mode == "lora" else "full_learning_rate"
        told = f"{name}: tells samples apart no more after training at {share:g} times the rate; lower tune.{key}."
        warnings.warn(told, stacklevel=2)
    return model


def descend(
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
    """Train the parameters of `groups` for `steps` on these rows, and leave the model ready to predict.

    Raises:
        TrainingError: the loss is not finite.
    """
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(groups, weight_decay=tune.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    order = _endless(rows, min(tune.batch_size, len(rows)), rng)
    model.train()
    with Progress(disable=not progress) as bar:
        for step in bar.track(range(steps), description=description):
            chosen = next(order)
            batch = data.batch(chosen, tune.augment, seed + step)
            loss = task_loss(model(**batch), torch.from_numpy(targets[chosen]), model.head)
            if not bool(torch.isfinite(loss)):
                raise TrainingError(f"fine-tuning loss is {loss.item()} at step {step}; lower tune.learning_rate.")
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    model.eval()


@torch.no_grad()
def predict(model: TaskModel | SupervisedNetwork, data: TokenSet | FieldSet) -> np.ndarray:
    """Logits or numbers [n, outputs] of every sample.

    Raises:
        SignalError: there is none.
    """
    if not len(data):
        raise SignalError("predict: no signals; a recording shorter than the windows that it is cut into gives none.")
    model.eval()
    return np.concatenate([model(**batch).float().numpy() for batch in data.batches()])


def task_loss(output: Tensor, target: Tensor, head: StackedHead | LinearHead) -> Tensor:
    """Cross-entropy for classes; Huber on standardised targets for numbers."""
    if target.dtype == torch.int64:
        return F.cross_entropy(output, target)
    return F.smooth_l1_loss(
        (output - head.target_mean) / head.target_std, (target - head.target_mean) / head.target_std
    )


@torch.no_grad()
def _learnt(model: TaskModel, data: TokenSet, rows: np.ndarray, targets: np.ndarray) -> bool:
    """Whether training samples are told better than by one answer for all of them, the best there is."""
    some = rows[:: 1 + (len(rows) - 1) // CHECKED]
    output, truth = model(**data.batch(some)), torch.from_numpy(targets[some])
    one = F.one_hot(truth, output.shape[1]).float().mean(0).log() if truth.dtype == torch.int64 else truth.mean(0)
    constant = task_loss(one.expand_as(output), truth, model.head)
    return bool(constant == 0) or bool(task_loss(output, truth, model.head) < 0.9 * constant)


def _groups(model: TaskModel, peak: float, tune: TuneSection) -> list[dict]:
    """A new head learns faster than weights that already know something."""
    body = [p for p in model.encoder.parameters() if p.requires_grad]
    return [{"params": body, "lr": peak}, {"params": list(model.head.parameters()), "lr": tune.learning_rate}]


def _rate(step: int, steps: int) -> float:
    warmup = max(1, steps // 10)
    return (
        (step + 1) / warmup if step < warmup else (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2
    )


def _endless(rows: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of shuffled rows, epoch after epoch; a remainder is carried into the next epoch."""
    left = np.empty(0, rows.dtype)
    while True:
        while len(left) < size:
            left = np.concatenate([left, rng.permutation(rows)])
        yield left[:size]
        left = left[size:]
