"""Poolings in closed form: features of the normalised tokens that no weight takes part in, alike for every encoder.

`response` and `invariant` keep the place of every column; the others average over links and responses, so that they
compare signals of any two shapes and carry over to rooms, people and devices with another response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from foundation.models.column_statistics import ROWS, column_rows
from foundation.models.output import EncoderOutput
from foundation.models.structure import summary_tokens
from foundation.nn.groups import group_mean, members
from foundation.nn.statistics import log_level

CLOSED_POOLINGS = ("response", "invariant", "statistics", "doppler", "envelope")
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
    if pooling == "response":  # a mean may be 0, as where a link has one response and its gain is removed
        return torch.where(row["measured"] > 0, row["mean"] + row["gain"][..., :1], 0.0).flatten(1)
    # In units of the static level the slope would depend on everything else in the room.
    unit = torch.where(batch["logarithmic"], components.static_level, 1.0)[:, None, None]
    return torch.stack([row["deviation"], row["change"], row["trend"], row["slope"] * unit], dim=2).flatten(1)


def _doppler(
    patch_shapes: Sequence[Sequence[int]], output: EncoderOutput, batch: Mapping[str, Tensor]
) -> Float[Tensor, "batch features"]:
    """Log power of the dynamics by Doppler frequency, in cycles per patch: mean and deviation over links and responses.

    Periodograms of patches under a Hann window, averaged over time (Welch 1967), without the sign of the frequency.
    """
    components, structure = output.components, output.structure
    assert components is not None and structure is not None
    dynamic, count = _dynamic(output, batch), structure.columns
    bins = max(times for times, _ in patch_shapes) // 2 + 1
    slots = max(responses for _, responses in patch_shapes)
    logs = components.values.new_zeros(len(dynamic), count, slots, bins)
    known = torch.zeros_like(logs, dtype=torch.bool)
    for shape, rows in structure.samples.items():
        times, responses = patch_shapes[shape]
        if times < 4:
            continue
        values, seen = _entries(components.values, batch["observed"], rows, times, responses)
        seen &= dynamic[rows, :, None, None]
        window = torch.hann_window(times, device=values.device) * (8 / 3) ** 0.5  # of mean square 1
        field = torch.view_as_complex(values.contiguous()) * seen * window[:, None]
        power = torch.fft.fft(field, dim=2).abs().square() / times
        both = torch.cat([power[:, :, :1], power[:, :, 1:] + power[:, :, 1:].flip(2)], dim=2)[:, :, : times // 2 + 1]
        both[:, :, -1] /= 2  # of the highest frequency there is one
        sums = torch.cat([both, seen.sum(2, keepdim=True)], dim=2).transpose(2, 3)
        total = sums.new_zeros(len(rows) * count, *sums.shape[2:])
        place = batch["column"][rows] + count * torch.arange(len(rows), device=rows.device)[:, None]
        total = total.index_add_(0, place.flatten(), sums.flatten(0, 1)).unflatten(0, (len(rows), count))
        own = log_level(total[..., :-1] / total[..., -1:].clamp(min=1))
        logs[rows, :, :responses, : own.shape[-1]] = own
        known[rows, :, :responses, : own.shape[-1]] = total[..., -1:] > 0
    return torch.cat(_moments(logs, known, over=(1, 2)), dim=1)


def _envelope(
    patch_shapes: Sequence[Sequence[int]], output: EncoderOutput, batch: Mapping[str, Tensor]
) -> Float[Tensor, "batch features"]:
    """Log level of the dynamics, and of their change from time to time, in each of `PARTS` parts of the window."""
    components, structure = output.components, output.structure
    assert components is not None and structure is not None
    dynamic = _dynamic(output, batch)
    levels = components.values.new_zeros(len(dynamic), 2, PARTS)
    for shape, rows in structure.samples.items():
        times, responses = patch_shapes[shape]
        values, seen = _entries(components.values, batch["observed"], rows, times, responses)
        seen &= dynamic[rows, :, None, None]
        weight = seen[..., None].to(values.dtype)
        both = weight[:, :, 1:] * weight[:, :, :-1]
        at = batch["grid"][rows, :, :1] * times + torch.arange(times, device=rows.device)
        length = torch.where(seen.any(-1), at + 1, 1).flatten(1).amax(1)
        part = (at * PARTS // length[:, None, None]).clamp(max=PARTS - 1)
        step = values[:, :, 1:] - values[:, :, :-1]
        for kind, (x, w, p) in enumerate(((values, weight, part), (step, both, part[:, :, 1:]))):
            power, count = (x.square() * w).sum((3, 4)), w.sum((3, 4))
            total, many = (
                torch.zeros(len(rows), PARTS, device=x.device, dtype=x.dtype).scatter_add_(
                    1, p.flatten(1), y.flatten(1)
                )
                for y in (power, count)
            )
            levels[rows, kind] = torch.where(many > 0, log_level(total / many.clamp(min=1)), 0.0)
    return levels.flatten(1)


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
