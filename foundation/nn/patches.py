"""Cut measured fields into patches, on the device that the network is on.

A worker sends the fields of a batch as they were stored, end to end. Each token is then a gather from them: the offset
of its first entry, and the place of every entry of its patch relative to that. So no host ever copies an entry into a
patch, and samples of any shapes are cut by the same dozen kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

#: Magnitudes of `log-amplitude` are clipped from below at this share of the root mean square (-20 dB): in a deep fade
#: the logarithm of noise would vary more than with any motion in the room.
FLOOR = 0.1
BEYOND = 2**15  # time of the entries that a patch does not have


@dataclass(frozen=True)
class Fields:
    """The fields of a batch, and where its tokens lie in them.

    A sample is (times, links, responses), flattened. A sample with static tokens has two more times at its end, of
    value 0: in `valid` the first says which entries were measured at any time, the second which at two neighbouring
    times of a patch. Static tokens point there.

    Attributes:
        values: all samples, end to end.
        valid: entries that were measured; None where all were.
        start: of each token's first entry, in `values`.
        times, responses: entries of a token inside its sample, from the first on; 0 for padding.
        stride: entries from one time to the next, of each sample.
        amplitude: the network reads the logarithm of the magnitude; None where no sample asks for it.
        places: time and response of every entry of a patch, by 2 * patch shape + static.
    """

    values: Complex[Tensor, " all"]
    valid: Bool[Tensor, " all"] | None
    start: Int[Tensor, "batch tokens"]
    times: Int[Tensor, "batch tokens"]
    responses: Int[Tensor, "batch tokens"]
    stride: Int[Tensor, " batch"]
    amplitude: Bool[Tensor, " batch"] | None
    places: Int[Tensor, "2 types pairs"]


torch.export.register_dataclass(Fields)


@lru_cache(maxsize=32)
def patch_places(patch_shapes: tuple[tuple[int, int], ...]) -> Int[Tensor, "2 types pairs"]:
    """`Fields.places` of these patch shapes, (times, responses).

    A static token holds the statistics of its column one after the other, see `foundation.nn.statistics`: the third,
    the change, is known where two neighbouring times were measured, the others where any was.
    """
    pairs = torch.arange(max(times * responses for times, responses in patch_shapes))
    found = []
    for times, responses in patch_shapes:
        time, statistic = pairs // responses, pairs // responses
        found.append(torch.where(time < times, time, BEYOND))
        found.append(torch.tensor([0, 0, 1, 0, BEYOND])[statistic.clamp(max=4)])
    response = torch.stack([pairs % responses for _, responses in patch_shapes for _ in range(2)])
    return torch.stack([torch.stack(found), response]).to(torch.int32)


def cut(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with `values` and `observed` [batch, tokens, entries] in place of its `fields`.

    Entries are (time, response, part) flattened, part = real, imaginary; 0 where nothing was measured, in static
    tokens, and beyond the signal's end. Of a real signal no imaginary part is observed. A batch that is cut already
    comes back as it is.
    """
    if "fields" not in batch:
        return batch
    fields: Fields = batch["fields"]
    time, response = fields.places[:, 2 * batch["shape"] + batch["static"]]
    inside = (time < fields.times[..., None]).logical_and_(response < fields.responses[..., None])
    index = time.mul_(fields.stride[:, None, None]).add_(response).add_(fields.start[..., None])
    index = index.clamp_(0, len(fields.values) - 1).flatten()
    values = fields.values.index_select(0, index).view_as(inside)
    measured = inside if fields.valid is None else inside & fields.valid.index_select(0, index).view_as(inside)
    known = measured & ~batch["static"][..., None]
    if fields.amplitude is not None:
        chosen, magnitude = fields.amplitude[:, None, None], log_magnitude(values, known)
        values.real.copy_(torch.where(chosen, magnitude, values.real))
        values.imag.masked_fill_(chosen, 0)
    values = torch.view_as_real(torch.where(known, values, 0))
    is_real = batch["real"]
    observed = measured[..., None] & torch.stack([torch.ones_like(is_real), ~is_real], dim=-1)[:, None, None]
    whole = {name: value for name, value in batch.items() if name != "fields"}
    return {"values": values.flatten(-2), "observed": observed.flatten(-2), **whole}


def log_magnitude(
    values: Complex[Tensor, " batch *rest"], measured: Bool[Tensor, " batch *rest"]
) -> Float[Tensor, " batch *rest"]:
    """Natural logarithm of the magnitude of each sample, clipped at `FLOOR` times its level where it was measured."""
    magnitude = torch.hypot(values.real, values.imag)  # half the time of abs
    power = (magnitude.square() * measured).flatten(1).sum(1) / measured.flatten(1).sum(1)
    floor = FLOOR * power.sqrt() + torch.finfo(torch.float32).tiny
    return torch.maximum(magnitude, floor.view(-1, *[1] * (measured.ndim - 1))).log_()
