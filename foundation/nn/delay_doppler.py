"""Local delay-Doppler spectrum of a patch, which its embedding reads beside the patch itself.

A motion is in the power of a Doppler shift, whatever its phase; a linear map of the field cannot square, and a network
learns to only slowly. As the log-mel spectrum is to speech, log power over Doppler and delay is to a radio channel
(Bello 1963): the spreading function of the patch.
"""

from __future__ import annotations

from math import pi, sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

QUIET = 1e-3  # added to powers, in units of the dynamic level's, before the logarithm: below it is noise


class DelayDoppler(nn.Module):
    """Embeds the logarithm of the power of a patch's two-dimensional Fourier transform.

    As a product with a matrix: a patch has a hundred entries, for which no transform is faster.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(self, times: int, responses: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(times * responses, width, bias=False)
        cosine, sine = fourier(times, responses)
        self.register_buffer("cosine", cosine)
        self.register_buffer("sine", sine)

    def forward(self, entries: Float[Tensor, "*rows entries"]) -> Float[Tensor, "*rows width"]:
        """Args: entries: (time, response, part) flattened; more may follow."""
        size = 2 * len(self.cosine)
        # In single precision: powers of strong patches are beyond half precision.
        cosine, sine = self.cosine.float(), self.sine.float()
        real, imaginary = entries[..., 0:size:2].float(), entries[..., 1:size:2].float()
        power = (real @ cosine + imaginary @ sine).float().square()
        power = power + (imaginary @ cosine - real @ sine).float().square()
        return self.project(((power + QUIET).log() / 2 + 1).to(self.project.weight.dtype))


def fourier(times: int, responses: int) -> tuple[Float[Tensor, "n n"], Float[Tensor, "n n"]]:
    """Real and negative imaginary part of the unitary Fourier matrix of flattened patches."""
    turns = [torch.outer(index, index) / len(index) for n in (times, responses) for index in [torch.arange(n).double()]]
    phase = 2 * pi * (turns[0][:, None, :, None] + turns[1][None, :, None, :]).reshape(times * responses, -1)
    scale = 1 / sqrt(times * responses)
    return (phase.cos() * scale).float(), (phase.sin() * scale).float()
