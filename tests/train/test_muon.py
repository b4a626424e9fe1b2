"""Muon beside torch's own, and as the optimizer of a pretraining run."""

from __future__ import annotations

import copy
import signal
from pathlib import Path

import pytest
import torch
from helpers.tiny import pretrain_recipe, write_recipe
from safetensors.torch import load_file
from torch import Tensor, nn

from foundation.cli import main
from foundation.train.muon import Muon, orthogonal


def _network() -> nn.ModuleList:
    torch.manual_seed(0)
    return nn.ModuleList([nn.Linear(16, 48), nn.Linear(16, 48), nn.Linear(48, 16), nn.Linear(16, 16)])


def _matrices(network: nn.Module) -> list[nn.Parameter]:
    return [each for each in network.parameters() if each.ndim == 2]


def _vectors(network: nn.Module) -> list[nn.Parameter]:
    return [each for each in network.parameters() if each.ndim == 1]


def _muon(network: nn.Module) -> Muon:
    matrices = {"params": _matrices(network), "muon": True, "weight_decay": 0.1}
    return Muon([matrices, {"params": _vectors(network)}], lr=1e-2, betas=(0.9, 0.95))


def _draw(network: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def _weights(network: nn.Module) -> list[Tensor]:
    return [each.detach().clone() for each in network.parameters()]


def test_steps_are_those_of_torch() -> None:
    ours, theirs = _network(), _network()
    optimizers = [_muon(ours)]
    references: list[torch.optim.Optimizer] = [
        torch.optim.Muon(_matrices(theirs), lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(_vectors(theirs), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    for step in range(4):
        for network, all_of_it in ((ours, optimizers), (theirs, references)):
            _draw(network, step)
            for optimizer in all_of_it:
                optimizer.step()
    for value, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        # bfloat16 products of a batch round in another order; a step moves a weight by about 1e-2 x 0.2 x sqrt(48) / 4
        torch.testing.assert_close(value, reference, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(3, 16, 48), (3, 48, 16), (1, 32, 32)])
def test_singular_values_come_near_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)).float())
    assert values.min() > 0.6 and values.max() < 1.3


def test_a_broken_step_changes_no_weight() -> None:
    network = _network()
    optimizer, before = _muon(network), _weights(network)
    _draw(network, 0)
    _matrices(network)[1].grad = torch.full((48, 16), torch.nan)
    optimizer.found_inf = torch.ones(())  # type: ignore[attr-defined]
    optimizer.step()
    assert all(map(torch.equal, before, _weights(network)))


def test_a_restored_optimizer_goes_on_exactly() -> None:
    network = _network()
    optimizer = _muon(network)
    for step in range(2):
        _draw(network, step)
        optimizer.step()
    copied = copy.deepcopy(network)
    restored = _muon(copied)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for group in restored.param_groups:
        group["lr"] = 3e-3  # what a schedule does
    for group in optimizer.param_groups:
        group["lr"] = 3e-3
    for each, its in ((network, optimizer), (copied, restored)):
        _draw(each, 2)
        its.step()
    assert all(map(torch.equal, _weights(network), _weights(copied)))


def test_on_the_meta_device() -> None:
    with torch.device("meta"):
        network = _network()
        for each in _matrices(network):
            each.grad = torch.empty(each.shape)
        optimizer = _muon(network)
        optimizer.found_inf = torch.zeros(())  # type: ignore[attr-defined]
        optimizer.step()


def test_a_run_resumes_exactly(shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def command(run: str) -> int:
        fields = {"optimizer": "muon", "checkpoint_every": 2, "picture_every": None}
        recipe = pretrain_recipe(shards_dir, tmp_path / run, steps=4, **fields)
        return main(["pretrain", "--config", str(write_recipe(tmp_path / "tiny.yaml", recipe))])

    assert command("whole") == 0
    with monkeypatch.context() as told:
        told.setattr("foundation.train.callbacks.stop.told_to_stop", lambda: signal.SIGTERM)
        assert command("stopped") == 143
    assert command("stopped") == 0
    weights = [load_file(tmp_path / run / "model" / "model.safetensors") for run in ("whole", "stopped")]
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())


def test_partitioned_weights_are_refused(shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_recipe(tmp_path / "tiny.yaml", pretrain_recipe(shards_dir, tmp_path / "run", optimizer="muon"))
    assert main(["pretrain", "--config", str(config), "train.strategy=zero-2"]) == 2
    assert "optimizer=muon needs the whole weights in every process: take strategy ddp" in capsys.readouterr().err
