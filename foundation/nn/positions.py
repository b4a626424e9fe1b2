"""Physical positions: where in seconds, hertz and delay a token was measured, and how much of each it covers.

Fourier features (Tancik et al. 2020, arXiv 2006.10739) with wavelengths spaced logarithmically over the scales radio
lives on, so that 100 Hz and 1 kHz captures, or 30 and 114 subcarriers, share one coordinate system.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

#: Shortest and longest wavelength of each axis: time in seconds, frequency in hertz, delay in seconds.
AXIS_SCALES = ((4e-3, 64.0), (3e5, 2e9), (1e-9, 4e-6))
WAVES = 12  # wavelengths per axis: two per decade or better

#: Columns of a position: centre and extent of (time, frequency, delay).
POSITION_SIZE = 2 * len(AXIS_SCALES)


class PositionEmbedding(nn.Module):
    """position float [..., 6] (centre, extent) x (time, frequency, delay) -> [..., hidden]."""

    rates: Tensor

    def __init__(self, hidden: int) -> None:
        super().__init__()
        rates = [2 * math.pi / torch.logspace(math.log10(a), math.log10(b), WAVES) for a, b in AXIS_SCALES]
        # Persistent: transformers builds models on the meta device, where a buffer that is not saved stays garbage.
        self.register_buffer("rates", torch.stack(rates))
        self.project = nn.Linear(len(AXIS_SCALES) * (2 * WAVES + 1), hidden)

    def forward(self, position: Tensor) -> Tensor:
        centre, extent = position[..., 0::2], position[..., 1::2]
        angle = centre[..., None] * self.rates  # [..., 3, WAVES]
        shortest = extent.new_tensor([scale[0] for scale in AXIS_SCALES])
        covered = torch.log1p(extent / shortest)  # 0 where the axis does not apply
        features = torch.cat([angle.sin(), angle.cos(), covered[..., None]], dim=-1)
        return self.project(features.flatten(-2).to(self.project.weight.dtype))


class Rotary(nn.Module):
    """Rotation angles of queries and keys from physical position (RoPE, Su et al. 2021, arXiv 2104.09864).

    Attention then depends on differences in seconds, hertz and delay: "the same instant on the next subcarriers" is a
    direction from the first step on, where additive features leave it to be learnt. Half of the pairs turn with time,
    half with the response axis; frequency and delay never occur together and share theirs.
    """

    rates: Tensor

    def __init__(self, head_size: int) -> None:
        super().__init__()
        pairs = head_size // 4
        scales = ((2e-2, 20.0), (1e6, 1e9), (2e-9, 2e-6))
        rates = [2 * math.pi / torch.logspace(math.log10(a), math.log10(b), pairs) for a, b in scales]
        self.register_buffer("rates", torch.stack(rates))  # [3, pairs]

    def forward(self, position: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """position [B, N, 6] -> cosine and sine [B, 1, N, 2 * pairs]."""
        centre = position[..., 0::2, None].float() * self.rates  # [B, N, 3, pairs]
        angle = torch.cat([centre[..., 0, :], centre[..., 1, :] + centre[..., 2, :]], dim=-1)[:, None]
        return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate pairs of x [B, heads, N, D]; what is left of D beyond the pairs stays."""
    return _Rotation.apply(x, cosine, sine)


class _Rotation(torch.autograd.Function):
    """Its gradient is the rotation back: nothing of x is kept, and no slice is padded with zeros and added up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return _turned(x, cosine, sine)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cosine, sine = ctx.saved_tensors
        return _turned(gradient, cosine, -sine), None, None


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    size = cosine.shape[-1]
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    (a, b, rest), (left, right, end) = (t.split([size, size, x.shape[-1] - 2 * size], dim=-1) for t in (x, out))
    torch.mul(a, cosine, out=left).addcmul_(b, sine, value=-1)
    torch.mul(a, sine, out=right).addcmul_(b, cosine)
    end.copy_(rest)
    return out


def scalar_features(values: Tensor, waves: int = 6) -> Tensor:
    """Smooth features of unbounded scalars, such as log10 of a carrier: [..., C] -> [..., C * (2 * waves + 1)]."""
    rates = 2.0 ** torch.arange(waves, device=values.device, dtype=values.dtype) * (math.pi / 8)
    angle = values[..., None] * rates
    return torch.cat([values[..., None] / 8, angle.sin(), angle.cos()], dim=-1).flatten(-2)
