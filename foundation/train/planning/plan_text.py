"""Text output of `wfm plan`; assumed numbers are marked as such."""

from __future__ import annotations

from foundation.results.terminal import text_table
from foundation.train.directory.listing_text import duration
from foundation.train.planning.gpus import LAUNCH_S
from foundation.train.planning.plan import DAY, USABLE, Loading, Pace, Plan, Stage


def plan_text(plan: Plan) -> str:
    """The plan as text for a terminal of 110 columns."""
    gpu, sample = plan.gpu, plan.sample
    peak = gpu.peak(plan.precision)
    lines = [
        f"{plan.name}: {plan.parameters:,} parameters, counted on the meta device; no weight was made.",
        f"sample: {sample.tokens:,.0f} tokens, {sample.bytes / 1e3:,.1f} kB ({sample.source}).",
        f"work: {plan.flops_per_sample / 1e9:,.3g} GFLOP to train on a sample, forward and backward.",
        f"{plan.run.gpus} x {gpu.name}: {gpu.memory_gb:g} GB, {peak / 1e12:,.4g} TFLOP/s in {plan.precision}; "
        f"{plan.batch:,.4g} samples per rank and step.",
        "",
        f"memory per rank, GB (10^9 bytes; up to {USABLE:.0%} of {gpu.memory_gb:g} GB counts as fitting):",
        *_table(plan.stages),
        _suggestion(plan),
        "",
        *_step(plan),
        "",
        "throughput at the given utilisation:" if plan.measured else "throughput at that pace:",
        *_pace(plan, plan.run),
        *_loading(plan.loading),
        "",
        "on paper, at the same batch per rank:",
        *_pace(plan, plan.many),
        *_table(plan.many_stages),
    ]
    return "\n".join(lines)


def _table(stages: list[Stage]) -> list[str]:
    head = ("ZeRO", "params", "grads", "optim", "buffers", "activ.", "total", "fits", "re-comp.", "fits", "max batch")
    rows: list[tuple[str, ...]] = []
    for s in stages:
        sizes = (s.states.parameters, s.states.gradients, s.states.optimizer, s.states.buffers, s.activations)
        rest = (s.states.total + s.activations, s.fits, s.states.total + s.checkpointed, s.fits_checkpointed)
        name = "0 (DDP)" if s.stage == 0 else str(s.stage)
        rows.append((name, *map(_gb, sizes), _gb(rest[0]), _word(s.fits), _gb(rest[2]), _word(rest[3]), f"{s.batch:,}"))
    return [f"  {line}" for line in text_table(head, rows, right=True).splitlines()]


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f}"


def _word(fits: bool | float) -> str:
    return "yes" if fits else "no"


def _suggestion(plan: Plan) -> str:
    own = 3 if plan.strategy == "fsdp" else int(plan.strategy[-1]) if plan.strategy.startswith("zero-") else 0
    if plan.suggested is None:
        batch = plan.stages[-1].batch
        return f"  none fits: lower train.batch_size to {batch} at ZeRO-3." if batch else "  none fits: take more GPUs."
    name = f"train.strategy=zero-{plan.suggested}" if plan.suggested else "train.strategy=ddp (auto on one GPU)"
    text = f"  smallest stage that fits: {name}"
    if own == plan.suggested:
        return f"{text}, as in the recipe."
    fits = "fits too" if plan.stages[own].fits else "does NOT fit"
    return f"{text}; the recipe's {plan.strategy} {fits}."


def _step(plan: Plan) -> list[str]:
    step, gpu = plan.step, plan.gpu
    parts = {
        "products": f"{step.flops / 1e12:,.3g} TFLOP of the model at {gpu.peak(plan.precision) / 1e12:,.4g} TFLOP/s",
        "bytes": f"{step.bytes / 1e9:,.3g} GB of all other calls and the optimizer at {gpu.bandwidth_gb_s:,g} GB/s",
        "calls": f"{step.calls:,} eager calls of {LAUNCH_S * 1e6:g} us, issued by the host meanwhile",
    }
    seconds = {"products": step.products_s, "bytes": step.bytes_s, "calls": step.calls_s}
    lines = [f"  {name:<9}{1e3 * seconds[name]:9,.2f} ms  {what}" for name, what in parts.items()]
    said = "as given, not as computed" if plan.measured else "MFU at most"
    own = step.utilisation(gpu.peak(plan.precision))
    return [
        "a step of one GPU at best: no communication, products at the peak (a run logs its `mfu`, which --mfu takes):",
        *lines,
        f"  limited by {step.limit}: {1e3 * step.seconds:,.2f} ms, {own:.0%} of the peak"
        + (f"; {plan.mfu:.0%} {said}." if plan.measured else f" ({said})."),
    ]


def _loading(loading: Loading) -> list[str]:
    each = f"{loading.workers} worker{'s' * (loading.workers > 1)} of each GPU at {loading.worker:,.0f} samples/s"
    lines = [
        f"  it delivers {loading.delivered:,.0f} samples/s: {each}, measured on this machine on {loading.source}",
    ]
    if loading.is_limit:
        lines.append(
            f"  WARNING: the loader is the limit, {loading.delivered / loading.asked:.0%} of what the GPUs ask; "
            f"data.workers={loading.needed} would do."
        )
    return lines


def _pace(plan: Plan, pace: Pace) -> list[str]:
    epochs = f", {pace.samples / plan.sample.count:,.1f} epochs" if plan.sample.count else ""
    return [
        f"  {pace.gpus:,} GPUs on {pace.nodes:,} nodes: {pace.samples_per_s:,.0f} samples/s, "
        f"{pace.samples_per_s * plan.sample.tokens:,.0f} tokens/s",
        f"  {pace.samples:,.0f} samples{epochs} in {pace.steps:,} steps: {duration(pace.days * DAY)}",
        f"  loader of each node is asked for {pace.node_samples_per_s:,.0f} samples/s, "
        f"{pace.node_bytes_per_s / 1e6:,.1f} MB/s; read in all: {pace.read_bytes / 1e12:,.3g} TB",
    ]
