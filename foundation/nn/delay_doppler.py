"""Local delay-Doppler spectrum of patches: what embeddings read beside the field, and what can be known of hidden ones.

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
QUIET_BAND = 1e-2  # the same for targets of a loss, whose noise is not to be predicted
#: First index of every Doppler band; of a single time, of every delay band.
EDGES = (0, 1, 2, 3, 5)


class Spectrum(nn.Module):
    """Power of a patch's two-dimensional Fourier transform.

    As a product with a matrix: a patch has a hundred entries, for which no transform is faster.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(self, times: int, responses: int) -> None:
        super().__init__()
        cosine, sine = fourier(times, responses)
        self.register_buffer("cosine", cosine)
        self.register_buffer("sine", sine)

    def power(self, entries: Float[Tensor, "*rows entries"]) -> Float[Tensor, "*rows bins"]:
        """Of entries (time, response, part) flattened, which others may follow; bins are (Doppler, delay) flattened."""
        size = 2 * len(self.cosine)
        # In single precision: powers of strong patches are beyond half precision.
        cosine, sine = self.cosine.float(), self.sine.float()
        real, imaginary = entries[..., 0:size:2].float(), entries[..., 1:size:2].float()
        return (real @ cosine + imaginary @ sine).float().square() + (imaginary @ cosine - real @ sine).float().square()


class DelayDoppler(Spectrum):
    """Embeds the logarithm of the power."""

    def __init__(self, times: int, responses: int, width: int) -> None:
        super().__init__(times, responses)
        self.project = nn.Linear(times * responses, width, bias=False)

    def forward(self, entries: Float[Tensor, "*rows entries"]) -> Float[Tensor, "*rows width"]:
        return self.project(((self.power(entries) + QUIET).log() / 2 + 1).to(self.project.weight.dtype))


class Bands(Spectrum):
    """Logarithm of the power in Doppler bands, the mean over both signs and all delays; of a single time, in delay
    bands. A patch that is short for the last of the `EDGES` has fewer."""

    average: Tensor

    def __init__(self, times: int, responses: int) -> None:
        super().__init__(times, responses)
        size = times if times > 1 else responses
        band = [sum(edge <= min(index, size - index) for edge in EDGES) - 1 for index in range(size)]
        member = torch.eye(max(band) + 1)[band]
        whole = member[:, None].expand(-1, responses, -1) if times > 1 else member[None]
        self.register_buffer("average", (whole / whole.sum((0, 1))).flatten(0, 1))

    def forward(self, entries: Float[Tensor, "*rows entries"]) -> Float[Tensor, "*rows bands"]:
        return (self.power(entries) @ self.average.float() + QUIET_BAND).log() / 2


def fourier(times: int, responses: int) -> tuple[Float[Tensor, "n n"], Float[Tensor, "n n"]]:
    """Real and negative imaginary part of the unitary Fourier matrix of flattened patches."""
    turns = [torch.outer(index, index) / len(index) for n in (times, responses) for index in [torch.arange(n).double()]]
    phase = 2 * pi * (turns[0][:, None, :, None] + turns[1][None, :, None, :]).reshape(times * responses, -1)
    scale = 1 / sqrt(times * responses)
    return (phase.cos() * scale).float(), (phase.sin() * scale).float()
