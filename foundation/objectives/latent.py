"""What the encoder makes of hidden tokens when it sees all, predicted from what is visible (joint-embedding prediction:
Assran et al. 2023, arXiv 2301.08243).

The target is the encoder's own, without a gradient (Chen and He 2021, arXiv 2011.10566): a second, slowly following
encoder would be a copy that every ZeRO stage cuts up and every checkpoint carries. What keeps latents from becoming all
the same is a floor under their spread (Bardes et al. 2022, arXiv 2105.04906), and two metrics watch it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.models import CONTEXT_TOKENS, EncoderOutput, WfmConfig, WfmForMaskedModeling
from foundation.nn.components import Components

SPREAD = 0.5  # standard deviation over tokens that every number of a latent should have; a final norm sets the scale
FLOOR_WEIGHT = 1.0


def predictor(config: WfmConfig) -> nn.Module:
    """The decoder's conditions [M, D] -> latents [M, H]."""
    return nn.Linear(config.decoder_size, config.hidden_size)


def latent_loss(
    predict: nn.Module,
    model: WfmForMaskedModeling,
    batch: dict[str, Tensor],
    hidden: Tensor,
    whole: Components,
    condition: Tensor,
    encoded: EncoderOutput,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean square error of predicted latents, and the floor under the spread of those that the encoder gives.

    Args:
        hidden: bool [B, N] tokens to predict; condition: [B, N, D] what the decoder says of every token.
        whole: components of the whole batch; encoded: the visible tokens.

    Returns:
        (loss, metrics): `latent` error; of the targets `latent_std`, the mean deviation of a number over tokens, and
        `latent_rank`, in how many directions they spread: (sum of variances)^2 / sum of squares of the covariance.
    """
    with torch.no_grad():
        target = _by_token(model.encoder(visible=batch["observed"].any(-1), components=whole, **batch), hidden.shape)
        target = F.layer_norm(target[hidden].float(), target.shape[-1:])
    error = F.mse_loss(predict(condition[hidden]).float(), target, reduction="sum") / max(target.numel(), 1)
    assert encoded.last_hidden_state is not None and encoded.keep is not None
    seen = encoded.last_hidden_state[:, CONTEXT_TOKENS:][encoded.keep[:, CONTEXT_TOKENS:]].float()
    floor = F.relu(SPREAD - (_covariance(seen).diagonal() + 1e-4).sqrt()).mean()
    spread = _covariance(target)
    variance = spread.diagonal()
    rank = variance.sum().square() / spread.square().sum().clamp(min=1e-12)
    metrics = {"latent": error.detach(), "latent_std": variance.sqrt().mean(), "latent_rank": rank}
    return error + FLOOR_WEIGHT * floor, metrics


def _by_token(output: EncoderOutput, shape: torch.Size) -> Tensor:
    """The latent of every token [B, N, H]; 0 where it was not seen."""
    latents, index, keep = output.last_hidden_state, output.index, output.keep
    assert latents is not None and index is not None and keep is not None
    rows = torch.arange(len(index), device=index.device)[:, None]
    out = latents.new_zeros(*shape, latents.shape[-1])
    return out.index_put((rows, index), latents[:, CONTEXT_TOKENS:] * keep[:, CONTEXT_TOKENS:, None])


def _covariance(rows: Tensor) -> Tensor:
    """Of rows [M, H]: [H, H]; 0 where there are none."""
    centred = rows - rows.sum(0) / max(len(rows), 1)
    return centred.T @ centred / max(len(rows) - 1, 1)
