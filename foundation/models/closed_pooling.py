"""Poolings in closed form: features of the normalised tokens that no weight takes part in, alike for every encoder.

`response` and `invariant` keep the place of every column; the others average over links and responses, so that they
compare signals of any two shapes and carry over to rooms, people and devices with another response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from foundation.models.column_statistics import ROWS, column_rows
from foundation.models.output import EncoderOutput
from foundation.models.structure import summary_tokens
from foundation.nn.groups import group_mean, members
from foundation.nn.statistics import log_level
from foundation.signal import KINDS

CLOSED_POOLINGS = ("response", "invariant", "statistics", "doppler", "envelope")
BANDS = 5  # of Doppler
RSSI = KINDS.index("rssi")
PARTS = 8  # of a window, of equal length, over which a course in time is given


def closed_pool(
    patch_shapes: Sequence[Sequence[int]], output: EncoderOutput, batch: Mapping[str, Tensor], pooling: str
) -> Float[Tensor, "batch features"]:
    """One of `CLOSED_POOLINGS`, see `foundation.models.pooling.pool`.

    Args:
        patch_shapes: (times, responses) of every patch shape of the network.
        output: of the network, of which the components are read and no latent is.
    """
    if pooling == "doppler":
        return _doppler(patch_shapes, output, batch)
    if pooling == "envelope":
        return _envelope(patch_shapes, output, batch)
    components = output.components
    assert output.structure is not None and output.index is not None and components is not None
    rows, known = column_rows(patch_shapes, output, batch)
    if pooling == "statistics":
        return torch.cat([*_moments(rows, known, over=(1, 3)), components.levels()], dim=1)
    column, real = batch["column"].gather(1, output.index), known.any(-1).any(-1)
    member = members(summary_tokens(batch).gather(1, output.index) & real, column, output.structure.columns, rows.dtype)
    found = torch.cat([rows, known[:, :, :1].to(rows.dtype)], dim=2)
    by_column = group_mean(found.flatten(2), member).unflatten(2, found.shape[2:])
    row = dict(zip((*ROWS, "measured"), by_column.unbind(2), strict=True))
    if pooling == "response":
        seen = row["measured"] > 0  # a mean may be 0, as where a link has one response and its gain is removed
        return _with_unheard(row["mean"] + row["gain"][..., :1], seen, batch).flatten(1)
    # In units of the static level the slope would depend on everything else in the room.
    unit = torch.where(batch["logarithmic"], components.static_level, 1.0)[:, None, None]
    return torch.stack([row["deviation"], row["change"], row["trend"], row["slope"] * unit], dim=2).flatten(1)


def _with_unheard(
    place: Float[Tensor, "batch columns slots"], seen: Bool[Tensor, "batch columns slots"], batch: Mapping[str, Tensor]
) -> Float[Tensor, "batch columns slots"]:
    """0 where nothing was measured; but of RSSI where a whole column was not, the weakest of the sample: a transmitter
    that was not heard is far away, and 0 would say that it is as near as the others are. As in
    `foundation.transforms.unheard`, a broken antenna of another kind says nothing."""
    tokens = torch.zeros_like(seen[..., 0], dtype=torch.long).scatter_add(1, batch["column"], batch["exists"].long())
    silent = (tokens > 0) & ~seen.any(2) & (batch["kind"] == RSSI)[:, None]
    used = seen.any(1, keepdim=True)  # a slot that no column has stays 0
    weakest = torch.where(seen, place, torch.inf).flatten(1).amin(1)[:, None, None]
    return torch.where(seen, place, torch.where(silent[..., None] & used, weakest, 0.0))


def _doppler(
    patch_shapes: Sequence[Sequence[int]], output: EncoderOutput, batch: Mapping[str, Tensor]
) -> Float[Tensor, "batch features"]:
    """Log power of the dynamics in cycles per patch: mean and deviation over links and responses."""
    components, structure = output.components, output.structure
    assert components is not None and structure is not None
    dynamic, count = _dynamic(output, batch), structure.columns
    bins = max(times for times, _ in patch_shapes) // 2 + 1
    slots = max(responses for _, responses in patch_shapes)
    logs = components.values.new_zeros(len(dynamic), count, slots, bins)
    known = torch.zeros_like(logs, dtype=torch.bool)
    for shape, rows in structure.samples.items():
        values, seen = _entries(components.values, batch["observed"], rows, *patch_shapes[shape])
        seen &= dynamic[rows, :, None, None]
        power = _periodogram(values * seen[..., None])
        sums = torch.cat([power, seen.sum(2, keepdim=True)], dim=2).transpose(2, 3)
        place = batch["column"][rows] + count * torch.arange(len(rows), device=rows.device)[:, None]
        total = sums.new_zeros(len(rows) * count, *sums.shape[2:]).index_add_(0, place.flatten(), sums.flatten(0, 1))
        total = total.unflatten(0, (len(rows), count))
        own = log_level(total[..., :-1] / total[..., -1:].clamp(min=1))
        logs[rows, :, : own.shape[2], : own.shape[3]] = own
        known[rows, :, : own.shape[2], : own.shape[3]] = total[..., -1:] > 0
    return torch.cat(_moments(logs, known, over=(1, 2)), dim=1)


def _envelope(
    patch_shapes: Sequence[Sequence[int]], output: EncoderOutput, batch: Mapping[str, Tensor]
) -> Float[Tensor, "batch features"]:
    """Log level of the dynamics, and of them in `BANDS` octaves of Doppler, in each of `PARTS` parts of the window."""
    components, structure = output.components, output.structure
    assert components is not None and structure is not None
    dynamic = _dynamic(output, batch)
    levels = components.values.new_zeros(len(dynamic), 1 + BANDS, PARTS)
    for shape, rows in structure.samples.items():
        times, responses = patch_shapes[shape]
        values, seen = _entries(components.values, batch["observed"], rows, times, responses)
        seen &= dynamic[rows, :, None, None]
        at = batch["grid"][rows, :, :1] * times + torch.arange(times, device=rows.device)
        length = torch.where(seen.any(-1), at + 1, 1).flatten(1).amax(1)
        part = (at * PARTS // length[:, None, None]).clamp(max=PARTS - 1).flatten(1)
        sums = torch.stack([(values.square().sum(-1) * seen).sum(3), seen.sum(3)]).flatten(2)
        total = torch.zeros_like(levels[rows, :2])
        power, count = total.scatter_add_(2, part[:, None].expand(-1, 2, -1), sums.transpose(0, 1)).unbind(1)
        levels[rows, 0] = torch.where(count > 0, log_level(power / count.clamp(min=1)), 0.0)
        # A patch counts for the parts that it overlaps, by how much: it may be longer than they are.
        edge = length[:, None] * torch.arange(PARTS + 1, device=rows.device) / PARTS
        shared = torch.minimum(at[:, :, -1:] + 1, edge[:, None, 1:]) - torch.maximum(at[:, :, :1], edge[:, None, :-1])
        shared = shared.clamp(min=0)
        octaves = _periodogram(values * seen[..., None]).sum(3) @ _octaves(times, values.device)
        power = torch.einsum("bnp,bno->bop", shared, octaves)
        count = torch.einsum("bnp,bn->bp", shared, seen.sum((2, 3)).to(shared.dtype))[:, None]
        levels[rows, 1:] = torch.where(count > 0, log_level(power / count.clamp(min=1e-6)), 0.0)
    return levels.flatten(1)


def _periodogram(
    values: Float[Tensor, "rows tokens times responses 2"],
) -> Float[Tensor, "rows tokens bins responses"]:
    """Power of patches by frequency, without its sign, under a Hann window; its mean over patches is that of Welch
    (1967). The bins add up to the sum of squares, on average."""
    times = values.shape[2]
    window = torch.hann_window(times, device=values.device) * (8 / 3) ** 0.5 if times > 1 else values.new_ones(1)
    power = torch.fft.fft(torch.view_as_complex(values.contiguous()) * window[:, None], dim=2).abs().square() / times
    half = times // 2 + 1
    mirrored = power[:, :, half:].flip(2)  # frequencies below 0 but the lowest, which has no mirror image
    return power[:, :, :half] + nn.functional.pad(mirrored, (0, 0, 1, half - 1 - mirrored.shape[2]))


def _octaves(times: int, device: torch.device) -> Float[Tensor, "bins bands"]:
    """0/1: which bins of a patch of so many times lie in which band: constant, up to 1/16 of the sampling rate, and the
    octaves above it up to a half."""
    bins = range(times // 2 + 1)
    band = [0 if k == 0 else max(1, BANDS - 1 - int(log2(times / (2 * k)))) for k in bins]
    return nn.functional.one_hot(torch.tensor(band, device=device), BANDS).float()


def _dynamic(output: EncoderOutput, batch: Mapping[str, Tensor]) -> Bool[Tensor, "batch tokens"]:
    """Visible tokens of the dynamics; none of a single snapshot."""
    assert output.visible is not None
    return output.visible.mask & ~summary_tokens(batch)


def _entries(
    values: Tensor, observed: Tensor, rows: Tensor, times: int, responses: int
) -> tuple[Float[Tensor, "rows tokens times responses 2"], Bool[Tensor, "rows tokens times responses"]]:
    """Entries of these samples, real and imaginary part, and which were measured."""
    cut, size = (times, responses, 2), 2 * times * responses
    parts = observed[rows, :, :size].unflatten(2, cut)
    return values[rows, :, :size].unflatten(2, cut), parts.any(-1)


def _moments(
    values: Float[Tensor, "batch a b c"], known: Bool[Tensor, "batch a b c"], over: tuple[int, int]
) -> tuple[Float[Tensor, "batch left"], Float[Tensor, "batch left"]]:
    """Mean and standard deviation of what is known over two axes; 0 where nothing is."""
    weight = known.to(values.dtype)
    count = weight.sum(over, keepdim=True).clamp(min=1)
    mean = (values * weight).sum(over, keepdim=True) / count
    deviation = (((values - mean).square() * weight).sum(over, keepdim=True) / count).sqrt()
    return mean.flatten(1), deviation.flatten(1)
