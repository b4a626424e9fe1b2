"""Physical positions: where in seconds, hertz and delay a token was measured, and how much of each it covers.

Fourier features (Tancik et al. 2020, arXiv 2006.10739) with wavelengths spaced logarithmically over the scales radio
lives on, so that 100 Hz and 1 kHz captures, or 30 and 114 subcarriers, share one coordinate system.
"""

from __future__ import annotations

import math

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


def scalar_features(values: Tensor, waves: int = 6) -> Tensor:
    """Smooth features of unbounded scalars, such as log10 of a carrier: [..., C] -> [..., C * (2 * waves + 1)]."""
    rates = 2.0 ** torch.arange(waves, device=values.device, dtype=values.dtype) * (math.pi / 8)
    angle = values[..., None] * rates
    return torch.cat([values[..., None] / 8, angle.sin(), angle.cos()], dim=-1).flatten(-2)
