"""Steps and forward passes on the meta device, where a tensor has a shape and no content.

Asking such a tensor for a number raises. What runs here therefore never makes the host wait for an accelerator, and
`Mixes` sees to it that nothing is sent to one on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.signals import make_signal, mixed_signals, tiny_config
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from foundation.adapt.fit import task_loss
from foundation.adapt.lora import LORA_MODULES
from foundation.data.tokens import Batch, tokenize
from foundation.models import KernelHead, StackedHead, SupervisedNetwork, TaskModel, WfmForMaskedModeling, pool
from foundation.models.closed_pooling import CLOSED_POOLINGS
from foundation.models.config import WfmConfig
from foundation.models.pooling import LEARNED_POOLINGS
from foundation.models.structure import inputs_of, to_device
from foundation.nn.masks import MASK_KINDS
from foundation.objectives import MaskedObjective
from foundation.train.tasks import Tasks

CONFIGS = {"dense": tiny_config(), "experts": tiny_config(experts=3, experts_active=2)}
#: One mask kind each, all of them, and generation practice alone.
OBJECTIVES = {
    **{kind: {"masks": {kind: 1.0}, "generation_share": 0.0} for kind in MASK_KINDS},
    "practice": {"generation_share": 1.0},
    "denoising alone": {"mean_share": 0.0, "condition_dropout": 1.0},
    "without denoising": {"denoising_weight": 0.0},
}


class Mixes(TorchDispatchMode):
    """Refuses every operation on tensors of two devices, such as an index on the CPU, which would be copied each time.

    Numbers may be mixed: tensors without axes on the CPU, such as the steps that an optimizer counts.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves((args, kwargs, out)) if isinstance(each, torch.Tensor) and each.ndim]
        assert len({each.device for each in tensors}) <= 1, f"{func} of {[(t.device.type, t.shape) for t in tensors]}"
        return out


def on_meta(config: WfmConfig) -> WfmForMaskedModeling:
    with torch.device("meta"):
        return WfmForMaskedModeling(config)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Every kind and patch shape, of several lengths, and a snapshot."""
    found = tokenize([*mixed_signals(), make_signal(9, times=1, links=2, responses=8)], CONFIGS["dense"])
    assert len(set(found["exists"].sum(1).tolist())) > 2
    assert len(found["shape"][:, 0].unique()) == len(CONFIGS["dense"].patch_shapes)
    return found


def step(loss: Callable[[], torch.Tensor], parameters: list[torch.nn.Parameter]) -> None:
    """Forward, backward, clipping and the step of the optimizer."""
    optimizer = torch.optim.AdamW(parameters, foreach=True)
    loss().backward()
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    assert norm.is_meta
    optimizer.step()


@pytest.mark.parametrize("sizes", CONFIGS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_pretraining_step(sizes: str, objective: str, batch: Batch) -> None:
    config, model = CONFIGS[sizes], on_meta(CONFIGS[sizes])
    tasks = Tasks(MaskedObjective(**OBJECTIVES[objective]), config, 0, 1, 0, 1)
    for number in range(3):
        sent, task = to_device(tasks(batch, number), "meta")
        with Mixes():
            step(lambda sent=sent, task=task: tasks.objective.loss(model, sent, task)[0], list(model.parameters()))  # type: ignore[misc]
    unused = {name for name, each in model.named_parameters() if each.grad is None}
    assert not unused or OBJECTIVES[objective].get("denoising_weight") == 0


def test_a_step_in_half_precision(batch: Batch) -> None:
    """Attention is then one call for samples of any length, as on CUDA."""
    config = CONFIGS["dense"]
    model, called = on_meta(config).bfloat16(), list[str]()
    tasks = Tasks(MaskedObjective(), config, 0, 1, 0, 1)
    sent, task = to_device(tasks(batch, 0), "meta")

    class Attention(Mixes):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            called.extend([str(func)] if "attn" in str(func) or "attention" in str(func) else [])
            return super().__torch_dispatch__(func, types, args, kwargs)

    with Attention():
        step(lambda: tasks.objective.loss(model, sent, task)[0], list(model.parameters()))
    assert len(called) == 2 * (config.depth + config.decoder_depth), "forward and backward of each block"


def test_with_activation_checkpointing(batch: Batch) -> None:
    model = on_meta(CONFIGS["dense"])
    model.encoder.transformer.gradient_checkpointing = model.decoder.transformer.gradient_checkpointing = True
    tasks = Tasks(MaskedObjective(), CONFIGS["dense"], 0, 1, 0, 1)
    sent, task = to_device(tasks(batch, 0), "meta")
    with Mixes():
        step(lambda: tasks.objective.loss(model, sent, task)[0], list(model.parameters()))


POOLINGS = (*LEARNED_POOLINGS, *CLOSED_POOLINGS, "moments+columns")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_frozen_features(pooling: str, batch: Batch) -> None:
    encoder = on_meta(CONFIGS["dense"]).encoder.eval()
    inputs = inputs_of(batch, len(CONFIGS["dense"].patch_shapes), "meta")
    with torch.no_grad(), Mixes():
        assert pool(encoder, encoder(**inputs), inputs, pooling).is_meta


@pytest.mark.parametrize("classes", [3, 0])
def test_a_fine_tuning_step_and_a_prediction(classes: int, batch: Batch) -> None:
    torch.manual_seed(0)
    encoder = WfmForMaskedModeling(CONFIGS["dense"]).encoder
    width = encoder(**batch).last_hidden_state.shape[-1]
    targets = torch.arange(20) % 3 if classes else torch.randn(20, 2, dtype=torch.float64)
    head = KernelHead.fitted(torch.randn(20, 2 * width), targets, classes or 2, 0, 0.1, 1.0)
    lora = get_peft_model(encoder, LoraConfig(r=4, target_modules=LORA_MODULES))
    model = TaskModel(lora, StackedHead.of([(head, 0, 1.0)]), "context")
    model(**model.inputs(batch))
    model = model.to("meta")
    count = len(batch["kind"])
    truth = targets[:count].to("meta")
    sent = model.inputs(batch)
    with Mixes():
        step(lambda: task_loss(model(**sent), truth, model.head), [p for p in model.parameters() if p.requires_grad])
        with torch.no_grad():
            assert model.eval()(**sent).is_meta


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_a_supervised_step(name: Any) -> None:
    model = SupervisedNetwork(name, (2, 16, 12), 3, 0.1).to("meta")
    sent = model.inputs({"field": torch.randn(4, 2, 16, 12), "measured": torch.ones(4, 2, 16, 12, dtype=torch.bool)})
    truth = torch.zeros(4, dtype=torch.int64, device="meta")
    with Mixes():
        step(lambda: task_loss(model(**sent), truth, model.head), list(model.parameters()))


def test_imputation_and_generation(batch: Batch) -> None:
    """What they ask of the host they ask of the batch, before the first pass of the network."""
    model = on_meta(CONFIGS["dense"]).eval()
    visible = batch["observed"].any(-1)
    visible[:, ::2] = False
    assert model.reconstruct(visible, **batch).is_meta
    assert model.generate(visible, torch.Generator().manual_seed(0), steps=3, guidance=2.0, **batch).is_meta
    inputs = inputs_of(batch, len(CONFIGS["dense"].patch_shapes), "meta")
    seen = inputs.pop("visible")
    levels = model.encoder.components(inputs, seen.mask)
    nothing = torch.zeros_like(visible)
    assert model.generate(nothing, torch.Generator().manual_seed(0), steps=2, levels=levels, **batch).is_meta
