"""Joint denoising of tokens: flow matching (Lipman et al. 2023, arXiv 2210.02747) with a network that predicts x.

x_t = (1 - t) x + t noise, with one t for all hidden tokens of a sample: t = 1 is noise alone, t = 0 data. The network
sees the noisy tokens together and predicts the clean ones (Li & He 2025, arXiv 2511.13720); its output is mixed with
x_t as in Karras et al. 2022 (arXiv 2206.00364), so that it is of unit scale at every t. At t = 1 nothing of x_t is left
in the mixture, nor is it an input: the prediction is then the mean of what is hidden, given what is visible.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from foundation.nn.positions import scalar_features

WAVES = 8  # frequencies in the features of t
LEAST_T = 0.02  # the velocity divides by t
#: Mean and standard deviation of the logit of t in training: most of the work where a sample is nearly noise, as many
#: tokens share what they know of each other (Esser et al. 2024, arXiv 2403.03206).
LOGIT_T = (0.8, 1.0)


@dataclass(frozen=True)
class Noisy:
    """Noisy tokens of a batch.

    Attributes:
        rows: of the tokens in the flattened batch.
        values: x_t; `observed`: which entries there are.
        t: noise level of each token; at 1 its values are not looked at.
    """

    rows: Int[Tensor, " noisy"]
    values: Float[Tensor, "noisy entries"]
    observed: Bool[Tensor, "noisy entries"]
    t: Float[Tensor, " noisy"]

    def clean(self, output: Float[Tensor, "noisy entries"]) -> Float[Tensor, "noisy entries"]:
        """The prediction of x from the network's output."""
        t = self.t[:, None]
        variance = (1 - t).square() + t.square()
        return self.values * ((1 - t) / variance) + output * (t * variance.rsqrt())


class NoisyEmbedding(nn.Module):
    """Embeds noisy tokens: their observed entries, which these are, and t; 0 where t is 1."""

    def __init__(self, entries: int, width: int) -> None:
        super().__init__()
        self.values = nn.Linear(2 * entries, width)
        self.time = nn.Linear(scalar_features(torch.zeros(1), WAVES).numel(), width)
        nn.init.zeros_(self.values.weight)  # stays so where denoising is not trained

    @property
    def is_trained(self) -> bool:
        """Whether noisy values have any influence; asks the weights for it."""
        return self.values.weight.is_meta or bool(self.values.weight.any())

    def forward(self, noisy: Noisy) -> Float[Tensor, "noisy width"]:
        t, dtype = noisy.t[:, None], self.values.weight.dtype
        scale = ((1 - t).square() + t.square()).rsqrt()
        x = torch.where(noisy.observed, noisy.values * scale, 0.0)
        x = torch.cat([x, noisy.observed.to(x.dtype)], dim=-1).to(dtype)
        embedded = self.values(x) + self.time(scalar_features(t * WAVES, WAVES).to(dtype))
        return embedded * (t < 1).to(embedded.dtype)


def draw_times(count: int, mean_share: float, generator: torch.Generator) -> Float[Tensor, " count"]:
    """Noise levels of samples: 1 for a share of them (as near to it as the count allows), else logit-normal."""
    place = (torch.randperm(count, generator=generator) + torch.rand(1, generator=generator)) / count
    centre, spread = LOGIT_T
    t = torch.sigmoid(centre + spread * torch.randn(count, generator=generator)).clamp(min=LEAST_T)
    return torch.where(place < mean_share, 1.0, t)


def solve(
    predict: Callable[[Tensor, float], Tensor], noise: Float[Tensor, "noisy entries"], steps: int
) -> Float[Tensor, "noisy entries"]:
    """Integrate from noise to data in equal steps of t, by DPM-Solver++ 2M (Lu et al. 2022, arXiv 2211.01095).

    It reaches with one prediction a step what Heun's method does with two. The second order is in the logarithm of the
    signal-to-noise ratio, so it begins with the third step, and the last step ends in a prediction of x.

    Args:
        predict: (x_t, t) -> prediction of x.
    """
    x, times, before = noise, torch.linspace(1, 0, steps + 1).tolist(), noise
    for step, (now, after) in enumerate(pairwise(times)):
        found = predict(x, now)
        ahead = found
        if 1 < step < steps - 1:
            ratio = (_log_snr(now) - _log_snr(times[step - 1])) / (_log_snr(after) - _log_snr(now))
            ahead = found + (found - before) / (2 * ratio)
        x, before = (1 - after / now) * ahead + after / now * x, found
    return x


def _log_snr(t: float) -> float:
    return math.log((1 - t) / t)
