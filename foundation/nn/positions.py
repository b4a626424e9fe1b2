"""Positional encodings in physical units: centre and extent of a token in seconds, hertz and seconds of delay.

Fourier features (Tancik et al. 2020, arXiv 2006.10739) with wavelengths spaced logarithmically over the scales of radio
signals, so that 100 Hz and 1 kHz captures, or 30 and 114 subcarriers, share one coordinate system.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foundation.nn.precision import SinglePrecision, at_least_single
from foundation.nn.tracing import tracing

#: Shortest and longest wavelength of each axis: time in seconds, frequency in hertz, delay in seconds.
AXIS_SCALES = ((4e-3, 64.0), (3e5, 2e9), (1e-9, 4e-6))
WAVES = 12  # wavelengths per axis: two per decade or better

#: Cosine and sine of the rotation angles of packed tokens, the same for all heads; see `Rotary`.
Rotation = tuple[Float[Tensor, "packed 1 1 pairs"], Float[Tensor, "packed 1 1 pairs"]]


class PositionEmbedding(SinglePrecision):
    """Embeds a position: centre and extent of time, of frequency and of delay, in that order."""

    rates: Tensor

    def __init__(self, hidden: int) -> None:
        super().__init__()
        rates = [2 * math.pi / _wavelengths(a, b, WAVES) for a, b in AXIS_SCALES]
        # Persistent: transformers builds models on the meta device, where a buffer that is not saved stays garbage.
        self.register_buffer("rates", torch.stack(rates))
        self.project = nn.Linear(len(AXIS_SCALES) * (2 * WAVES + 1), hidden)

    def forward(self, position: Float[Tensor, "*leading 6"]) -> Float[Tensor, "*leading width"]:
        position = at_least_single(position)
        centre, extent = position[..., 0::2], position[..., 1::2]
        angle = centre[..., None] * self.rates  # [..., axis, wave]
        shortest = extent.new_tensor([scale[0] for scale in AXIS_SCALES])
        covered = torch.log1p(extent / shortest)  # 0 where the axis does not apply
        features = torch.cat([angle.sin(), angle.cos(), covered[..., None]], dim=-1)
        return self.project(features.flatten(-2).to(self.project.weight.dtype))


def _wavelengths(shortest: float, longest: float, count: int) -> Float[Tensor, " count"]:
    """Spaced logarithmically; in float32 also where transformers has set another default type."""
    return torch.logspace(math.log10(shortest), math.log10(longest), count, dtype=torch.float32)


class Rotary(SinglePrecision):
    """Rotary position embedding from physical positions (RoPE, Su et al. 2021, arXiv 2104.09864).

    Attention scores then depend on differences in time, frequency and delay from the first step on, which additive
    features leave to be learnt. Half of the pairs rotate with time, half with the response axis; frequency and delay
    never occur together and share theirs.
    """

    rates: Tensor

    def __init__(self, head_size: int) -> None:
        super().__init__()
        pairs = head_size // 4
        scales = ((2e-2, 20.0), (1e6, 1e9), (2e-9, 2e-6))
        rates = [2 * math.pi / _wavelengths(a, b, pairs) for a, b in scales]
        self.register_buffer("rates", torch.stack(rates))

    def forward(
        self, position: Float[Tensor, "batch tokens 6"], dtype: torch.dtype
    ) -> tuple[Float[Tensor, "batch 1 tokens pairs"], Float[Tensor, "batch 1 tokens pairs"]]:
        """Cosine and sine of the rotation angles; the second axis broadcasts over heads."""
        centre = position[..., 0::2, None].float() * self.rates  # [batch, tokens, axis, pair]
        angle = torch.cat([centre[..., 0, :], centre[..., 1, :] + centre[..., 2, :]], dim=-1)[:, None]
        return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(
    x: Float[Tensor, "*leading head_width"], cosine: Float[Tensor, "... pairs"], sine: Float[Tensor, "... pairs"]
) -> Float[Tensor, "*leading head_width"]:
    """Rotate the feature pairs (i, i + pairs) by their angles; features from 2 * pairs on stay as they are."""
    if not tracing():
        return _Rotate.apply(x, cosine, sine)
    size = cosine.shape[-1]
    a, b, rest = x.split([size, size, x.shape[-1] - 2 * size], dim=-1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine, rest], dim=-1)


class _Rotate(torch.autograd.Function):
    """Rotation whose gradient is the inverse rotation: nothing of x is kept, and no slice is padded and added up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return _rotated(x, cosine, sine)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cosine, sine = ctx.saved_tensors
        return _rotated(gradient, cosine, sine, -1), None, None


def _rotated(x: Tensor, cosine: Tensor, sine: Tensor, direction: int = 1) -> Tensor:
    size = cosine.shape[-1]
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    (a, b, rest), (left, right, end) = (t.split([size, size, x.shape[-1] - 2 * size], dim=-1) for t in (x, out))
    torch.mul(a, cosine, out=left).addcmul_(b, sine, value=-direction)
    torch.mul(b, cosine, out=right).addcmul_(a, sine, value=direction)
    if rest.numel():
        end.copy_(rest)
    return out


def scalar_features(values: Float[Tensor, "*leading scalars"], waves: int = 6) -> Float[Tensor, "*leading features"]:
    """Fourier features of unbounded scalars, such as log10 of a carrier; 2 * waves + 1 features per scalar."""
    values = at_least_single(values)
    rates = 2.0 ** torch.arange(waves, device=values.device, dtype=values.dtype) * (math.pi / 8)
    angle = values[..., None] * rates
    return torch.cat([values[..., None] / 8, angle.sin(), angle.cos()], dim=-1).flatten(-2)
