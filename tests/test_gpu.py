"""Tests that need a CUDA device; skipped without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.signals import make_signal, mixed_signals, tiny_config
from torch.utils._pytree import tree_leaves

from foundation.config import CorpusSection
from foundation.data.loader import Loader
from foundation.data.stream import ShardStream
from foundation.data.tokens import tokenize
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.models.structure import to_device
from foundation.nn.attention import Attention
from foundation.nn.packing import pack
from foundation.objectives import MaskedObjective
from foundation.train.background_files import BackgroundFiles
from foundation.train.tasks import Tasks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
CONFIG = tiny_config()


@pytest.fixture
def no_waits() -> Iterator[None]:
    """Every call for which the host would wait for the device is an error."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


def test_a_training_step_gives_the_same_loss_on_cuda_as_on_cpu() -> None:
    """But for the noise of the denoising loss, which every device draws by itself."""
    torch.manual_seed(0)
    model = WfmForMaskedModeling(WfmConfig(hidden_size=64, depth=2))
    batch = tokenize([make_signal(seed, 64, 2, 30) for seed in range(8)], model.config)
    losses = {}
    for device in ("cpu", "cuda"):
        model = model.to(device)
        loss, _ = MaskedObjective(denoising_weight=0.0)(model, batch, torch.Generator().manual_seed(0))
        loss.backward()
        losses[device] = loss.item()
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=1e-3)


def test_a_step_makes_nobody_wait(no_waits: None) -> None:
    torch.manual_seed(0)
    model = WfmForMaskedModeling(CONFIG).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    tasks = Tasks(MaskedObjective(), CONFIG, 0, 1, 0, 1)
    torch.cuda.set_sync_debug_mode("default")
    sent = [to_device(tasks(tokenize(mixed_signals(), CONFIG), number), "cuda") for number in range(3)]
    torch.cuda.set_sync_debug_mode("error")
    for batch, task in sent:
        with torch.autocast("cuda", torch.bfloat16):
            loss, _ = tasks.objective.loss(model, batch, task)
        optimizer.zero_grad()
        loss.backward()
        optimizer.found_inf = (~torch.isfinite(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))).float()
        optimizer.step()
    torch.cuda.set_sync_debug_mode("default")
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


def test_attention_of_any_length_is_that_of_groups() -> None:
    torch.manual_seed(0)
    keep = torch.arange(40) < torch.tensor([40, 3, 25, 17, 1])[:, None]
    packing, attention = pack(keep, *keep.shape), Attention(64, 4)
    queries_keys, values = torch.randn(int(keep.sum()), 2, 4, 16), torch.randn(int(keep.sum()), 4, 16)
    exact = attention.mix(queries_keys, values, packing)
    parts = (queries_keys.cuda().bfloat16(), values.cuda().bfloat16(), to_device(packing, "cuda"))
    torch.testing.assert_close(attention.mix(*parts).float().cpu(), exact, atol=0.03, rtol=0.03)


def test_batches_sent_ahead_are_those_of_the_cpu(shards_dir: Path) -> None:
    def batches(device: str) -> list[torch.Tensor]:
        tasks = Tasks(MaskedObjective(), CONFIG, 0, 1, 0, 1)
        stream = ShardStream([CorpusSection(shards=shards_dir)], CONFIG, 8, 0, 5, prepare=tasks)
        leaves = [leaf for batch in Loader(stream, 2, device) for leaf in tree_leaves(batch)]
        return [leaf.cpu() for leaf in leaves if isinstance(leaf, torch.Tensor)]

    assert all(torch.equal(one, two) for one, two in zip(batches("cpu"), batches("cuda"), strict=True))


def test_a_checkpoint_holds_the_weights_of_before_although_the_training_goes_on(tmp_path: Path) -> None:
    files = BackgroundFiles(lambda: None)
    weights = torch.ones(2**26, device="cuda")
    files.save_checkpoint({"weights": weights}, tmp_path / "a.ckpt")
    files.hold()
    weights.mul_(2)
    files.finish()
    assert bool((torch.load(tmp_path / "a.ckpt", map_location="cpu", weights_only=True)["weights"] == 1).all())
