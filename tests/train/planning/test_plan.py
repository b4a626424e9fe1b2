"""`wfm plan` against the network itself, PyTorch's FLOP counter, DeepSpeed's estimators and two processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import ROOT
from helpers.tiny import environment, pretrain_recipe, write_recipe
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from foundation.cli import main
from foundation.config import CorpusSection, PretrainRecipe, load_recipe
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest
from foundation.data.stream import ShardStream
from foundation.data.tokens import collated
from foundation.errors import RecipeError
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.nn.patches import cut
from foundation.objectives import MaskedObjective
from foundation.objectives.flops import training_flops
from foundation.train.module import PretrainModule
from foundation.train.planning.gpus import LAUNCH_S
from foundation.train.planning.kernels import DRAWS, Count, work_of
from foundation.train.planning.memory import activation_bytes, model_states
from foundation.train.planning.plan import plan
from foundation.train.planning.plan_text import plan_text
from foundation.train.tasks import Tasks

RECIPES = ROOT / "recipes" / "pretrain"


def _recipe(name: str = "1b", *overrides: str) -> PretrainRecipe:
    return load_recipe(
        RECIPES / f"{name}.yaml", PretrainRecipe, ["data={shards: nowhere}", "train.batch_tokens=null", *overrides]
    )


def _batch(shards: Path, config: WfmConfig, size: int) -> dict[str, torch.Tensor]:
    return cut(next(iter(ShardStream([CorpusSection(shards=shards)], config, size, seed=0, steps=1)))[0])


def test_parameters_are_those_of_the_network(tmp_path: Path) -> None:
    recipe = pretrain_recipe(tmp_path, tmp_path)
    module = PretrainModule(recipe)
    assert plan(recipe, "h100").parameters == sum(p.numel() for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize("parameters", [2_161_539, 1_130_842_819])
@pytest.mark.parametrize("ranks", [2, 64])
def test_model_states_are_those_of_deepspeed(parameters: int, ranks: int) -> None:
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

    two, three = (model_states(parameters, stage, ranks, "bf16-mixed") for stage in (2, 3))
    layer = 4 * 1792 * 1792
    _, expected = estimate_zero2_model_states_mem_needs(parameters, ranks, 1, cpu_offload=False)
    assert two.total - two.buffers == pytest.approx(expected, rel=0.02)
    _, expected, largest = estimate_zero3_model_states_mem_needs(parameters, layer, ranks, 1, False, False)
    # It counts 18 bytes a parameter; parameters 2, gradients 2 + 4 and optimizer 12 make the 20 that are measured.
    assert three.total - three.buffers == pytest.approx((expected - largest) * 20 / 18, rel=0.02)


def test_a_stage_never_holds_more_states_than_the_one_before() -> None:
    for precision in ("32-true", "bf16-mixed"):
        states = [model_states(10**9, stage, 8, precision) for stage in range(4)]
        held = [s.total - s.buffers for s in states]
        assert held == sorted(held, reverse=True)
        assert len(set(held)) == 4


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_hold_what_the_plan_says(shards_dir: Path, tmp_path: Path) -> None:
    wide = {"hidden_size": 256, "depth": 4, "heads": 4, "decoder_size": 128, "decoder_depth": 2, "decoder_heads": 4}
    configs = []
    for strategy in ("zero-3", "zero-2", "zero-1"):
        numbers = {"devices": 2, "steps": 2, "batch_size": 2, "precision": "bf16-mixed"}
        recipe = pretrain_recipe(shards_dir, tmp_path / strategy, strategy=strategy, **numbers)
        recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update=wide)})
        configs.append(write_recipe(tmp_path / f"{strategy}.yaml", recipe))
    out = tmp_path / "bytes.json"
    command = [sys.executable, ROOT / "tests" / "helpers" / "measure_states.py", out, *configs]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    parameters = plan(recipe, "h100").parameters
    # On CPU the buckets are small: 4 MB. Stage 1 is planned as if gradients accumulated, which they do not here.
    least = {"zero-1": 0.85, "zero-2": 0.97, "zero-3": 0.97}
    for strategy, measured in json.loads(out.read_text()).items():
        expected = model_states(parameters, int(strategy[-1]), 2, "bf16-mixed")
        states = expected.total - expected.buffers
        assert least[strategy] < measured / states < 1.08, strategy


#: PyTorch's counter does not know attention on the CPU.
ON_THE_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda *shapes, **_: sdpa_flop_count(*shapes[:3]),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda *shapes, **_: sdpa_backward_flop_count(
        *shapes[:4]
    ),
}


def test_flops_are_those_that_pytorch_counts(shards_dir: Path) -> None:
    config = WfmConfig(hidden_size=192, depth=3, heads=4)
    model, objective = WfmForMaskedModeling(config), MaskedObjective()
    batch = _batch(shards_dir, config, 8)
    generator = torch.Generator().manual_seed(0)
    steps, counted, tokens = 16, 0, 0.0
    for _ in range(steps):
        with FlopCounterMode(display=False, custom_mapping=ON_THE_CPU) as counter:
            loss, metrics = objective(model, batch, generator)
            loss.backward()
        counted += counter.get_total_flops()
        tokens += float(metrics["tokens"])
    # PyTorch also sees work on padding and on small projections: understated, not by much, never overstated.
    assert 0.75 < training_flops(model, objective, 8 * steps, tokens) / counted < 1.02


def test_the_hidden_share_is_the_one_that_is_drawn(shards_dir: Path) -> None:
    config = WfmConfig(hidden_size=32, depth=1, heads=2, decoder_size=32, decoder_depth=1, decoder_heads=2)
    batch = _batch(shards_dir, config, 16)
    for objective in (MaskedObjective(), MaskedObjective(generation_share=0.0, masks={"random": 1.0})):
        generator = torch.Generator().manual_seed(0)
        tasks = [objective.draw(batch, config, generator) for _ in range(60)]
        shares = [(len(task.hidden) + len(task.noisy)) / task.tokens for task in tasks]
        assert sum(shares) / len(shares) == pytest.approx(objective.hidden_share, abs=0.06)
        noisy = sum(len(task.noisy) for task in tasks) / sum(len(task.hidden) + len(task.noisy) for task in tasks)
        assert noisy == pytest.approx(objective.noisy_share, abs=0.06)


@pytest.mark.parametrize("size", [128, 384])
def test_activations_are_what_autograd_keeps(size: int, shards_dir: Path) -> None:
    config = WfmConfig(hidden_size=size, depth=4, heads=4)
    model, objective = WfmForMaskedModeling(config), MaskedObjective(generation_share=1.0)
    batch = _batch(shards_dir, config, 16)
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept: list[torch.Tensor] = []  # alive, or an address would be counted under two tensors

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        objective(model, batch, torch.Generator().manual_seed(0))
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
    measured = sum(size for address, size in storages.items() if address not in own)
    expected = activation_bytes(config, batch["exists"].numel(), "32-true", checkpointed=False)
    assert expected == pytest.approx(measured, rel=0.15)
    assert activation_bytes(config, batch["exists"].numel(), "32-true", checkpointed=True) < expected / 1.5


def test_the_smallest_stage_that_fits_is_suggested() -> None:
    huge = ("model.hidden_size=4096", "model.depth=48", "model.heads=32", "train.batch_size=4")
    planned = plan(_recipe("1b", *huge), "a100", 64)
    assert [stage.fits for stage in planned.stages] == [False, True, True, True]
    assert planned.suggested == 1
    assert "train.strategy=zero-1; the recipe's zero-2 fits too" in plan_text(planned)
    alone = plan(_recipe("1b", *huge), "a100", 1)
    assert alone.suggested is None
    assert "take more GPUs" in plan_text(alone)
    crowd = plan(_recipe("1b", "train.batch_size=100000"), "a100", 64)
    most = crowd.stages[-1].batch
    assert 0 < most < 100_000
    assert f"lower train.batch_size to {most}" in plan_text(crowd)
    assert plan(_recipe("1b", f"train.batch_size={most}"), "a100", 64).stages[-1].fits
    assert not plan(_recipe("1b", f"train.batch_size={most + 1}"), "a100", 64).stages[-1].fits


def test_pace_goes_with_gpus_and_a_given_utilisation() -> None:
    one, two = plan(_recipe(), "h100", 8, mfu=0.3), plan(_recipe(), "h100", 16, mfu=0.6)
    assert two.run.samples_per_s == pytest.approx(4 * one.run.samples_per_s)
    assert two.many.days == pytest.approx(one.many.days / 2)
    assert two.run.steps == one.run.steps == 300_000
    assert two.run.samples == 2 * one.run.samples  # the same batch for each rank
    assert one.run.samples_per_s == pytest.approx(8 * 0.3 * 989.4e12 / one.flops_per_sample)
    assert one.many.gpus == 1024
    assert one.many.samples == 10**9
    assert one.many.node_samples_per_s == one.run.node_samples_per_s == pytest.approx(one.run.samples_per_s)
    twice = plan(_recipe("1b", "train.accumulate=2"), "h100", 8, mfu=0.3)
    assert (twice.run.steps, twice.run.samples) == (300_000, 2 * one.run.samples)
    slow = plan(_recipe("1b", "train.precision=32-true"), "h100", 8, mfu=0.3)
    assert slow.run.days == pytest.approx(one.run.days * 989.4 / 66.9)
    assert "30% as given" in plan_text(one)


def test_utilisation_is_computed_from_products_bytes_and_calls() -> None:
    planned = plan(_recipe("base"), "h100", 8)
    step = planned.step
    assert step.flops == planned.flops_per_sample * planned.batch
    assert step.products_s == pytest.approx(step.flops / 989.4e12)
    assert step.bytes_s == pytest.approx(step.bytes / 3350e9)
    assert step.calls_s == pytest.approx(step.calls * LAUNCH_S)
    assert step.seconds == pytest.approx(max(step.products_s + step.bytes_s, step.calls_s))
    assert planned.mfu == pytest.approx(step.products_s / step.seconds)
    assert planned.run.samples_per_s == pytest.approx(8 * planned.batch / step.seconds)
    text = plan_text(planned)
    assert f"limited by {step.limit}" in text
    assert all(f"\n  {part}" in text for part in ("products", "bytes", "calls"))


def test_a_small_batch_is_limited_by_calls_and_a_wide_network_by_products() -> None:
    few, wide = ("train.batch_size=1",), ("model.hidden_size=8192", "model.heads=64", "train.batch_size=512")
    assert plan(_recipe("base", *few), "h200", 1).step.limit == "calls"
    assert plan(_recipe("base", *wide), "h200", 1).step.limit == "products"
    assert plan(_recipe("tiny", "train.precision=bf16-mixed", "train.batch_size=8192"), "h200", 1).step.limit == "bytes"
    eager, again = (
        plan(_recipe("base", f"train.activation_checkpointing={on}"), "h200", 1).step for on in ("false", "true")
    )
    assert again.products_s == pytest.approx(eager.products_s * 4 / 3)
    assert again.calls > eager.calls


def test_calls_and_bytes_are_those_of_a_step_with_content(shards_dir: Path, tmp_path: Path) -> None:
    """The same operations run on the CPU, but for attention: there samples of one length are a group."""
    recipe = pretrain_recipe(shards_dir, tmp_path)
    signals = list(Corpus(CorpusSection(shards=shards_dir, samples=8)))
    work = work_of(recipe, signals)
    module = PretrainModule(recipe)
    config = module.model.config
    tasks = Tasks(module.objective, config, recipe.seed, 1, 0, 1)
    calls, moved = [], []
    for number in range(DRAWS):
        batch, task = tasks(collated(signals, config), number)
        with Count() as counted:
            module.objective.loss(module.model, cut(batch), task)[0].backward()
        calls.append(sum(counted.calls.values()))
        moved.append(counted.bytes)
        module.zero_grad()
    assert work.calls == pytest.approx(max(calls), rel=0.1)
    assert work.bytes == pytest.approx(sum(moved) / DRAWS, rel=0.15)


def test_the_loader_is_measured_beside_what_the_gpus_ask(shards_dir: Path, tmp_path: Path) -> None:
    slow = plan(pretrain_recipe(shards_dir, tmp_path), "h100", 8, per_node=4, mfu=0.9)
    loading = slow.loading
    assert loading.source == "the recipe's shards"
    assert loading.worker > 10
    assert loading.delivered == pytest.approx(4 * loading.worker)
    assert loading.asked == pytest.approx(slow.run.samples_per_s / 2)
    assert loading.is_limit
    assert (loading.needed - 1) * 4 * loading.worker < loading.asked <= loading.needed * 4 * loading.worker
    (warning,) = [line for line in plan_text(slow).splitlines() if "WARNING" in line]
    assert warning.endswith(f"data.workers={loading.needed} would do.")
    fast = plan(pretrain_recipe(shards_dir, tmp_path), "h100", 8, mfu=1e-9)
    assert not fast.loading.is_limit
    assert "WARNING" not in plan_text(fast)
    absent = plan(_recipe("tiny"), "h100", 1, shape=(32, 1, 16))
    assert absent.loading.source == "noise of 32x1x16"
    (tmp_path / "alone").mkdir()
    shutil.copy(shards_dir / "manifest.json", tmp_path / "alone")
    assert plan(pretrain_recipe(tmp_path / "alone", tmp_path), "h100", 1).loading.source.startswith("noise of")


def test_the_loader_is_planned_from_the_manifest(shards_dir: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(shards_dir)
    planned = plan(pretrain_recipe(shards_dir, tmp_path), "h100", 8)
    assert planned.sample.bytes == pytest.approx(manifest.bytes / manifest.count)
    assert planned.sample.count == manifest.summary.parts["room"]["train"] < manifest.count
    batch = _batch(shards_dir, WfmConfig(), 4)
    assert planned.sample.tokens == batch["exists"].sum(1).float().mean()
    assert planned.run.node_bytes_per_s == pytest.approx(planned.run.samples_per_s * planned.sample.bytes)
    assert plan(pretrain_recipe(shards_dir, tmp_path, batch_tokens=144), "h100", 8).batch == 2


def test_a_billion_parameters_are_planned_in_a_process_that_stays_small() -> None:
    # Not getrusage: until it execs, the child is in its parent's memory, and its peak counts there as the child's own.
    limited = "import re, sys; from foundation.cli import main; main(sys.argv[1:]); " + (
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1], file=sys.stderr)"
    )
    arguments = ["plan", "--config", str(RECIPES / "1b.yaml"), "--gpu", "h200", "--gpus", "8", "--json"]
    command = [sys.executable, "-c", limited, *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    planned = json.loads(done.stdout)
    assert planned["parameters"] == 1_070_384_894
    assert [stage["stage"] for stage in planned["stages"]] == [0, 1, 2, 3]
    assert int(done.stderr.split()[-1]) < 2_000_000, "kB; the weights alone would take 4,500,000"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gpu", "h1000"], "did you mean 'h100'"),
        (["--gpus", "0"], "--gpus"),
        (["--mfu", "30"], "--mfu"),
        (["--shape", "0x1x1"], "--shape"),
    ],
)
def test_a_wrong_option_is_one_sentence(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--config", str(RECIPES / "tiny.yaml"), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_manifests_that_tell_nothing_are_refused(shards_dir: Path, tmp_path: Path) -> None:
    manifest = json.loads((shards_dir / "manifest.json").read_text())
    manifest["summary"]["shapes"] = {"many": 400}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert main(["plan", "--config", str(RECIPES / "tiny.yaml"), f"data.shards={tmp_path}"]) == 2
    with pytest.raises(RecipeError, match="a100-40"):
        plan(_recipe(), "tpu")
