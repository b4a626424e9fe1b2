"""Memory estimate of one rank, in bytes, by ZeRO stage (Rajbhandari et al. 2020, arXiv 1910.02054).

Model states follow DeepSpeed's layout and are exact but for padding: tests compare them with DeepSpeed's estimators and
with the live tensors of two processes. Activations are counted from what autograd saves per layer; a test measures that
too. The sum is an upper bound of the peak, because activations are freed before the optimizer steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from foundation.models import WfmConfig, WfmForMaskedModeling

STAGES = (0, 1, 2, 3)
MOMENTS = 8  # bytes: Adam's two, in fp32
MASTER = 4  # bytes of an fp32 copy
#: Elements; what Lightning's DeepSpeedStrategy sets (stages 1 to 3), and DeepSpeed's stage3_max_live_parameters.
BUCKET, LIVE = 200_000_000, 1_000_000_000


@dataclass(frozen=True)
class States:
    """Model states of one rank in bytes; `buffers` are for communication with other ranks."""

    parameters: float
    gradients: float
    optimizer: float
    buffers: float

    @property
    def total(self) -> float:
        return self.parameters + self.gradients + self.optimizer + self.buffers


def model_states(parameters: int, stage: int, ranks: int, precision: str) -> States:
    """Bytes of parameters, gradients and AdamW state; stage 0 is DDP, or a single rank.

    Args:
        parameters: number of trainable parameters.
        precision: as in the recipe. Under DeepSpeed, `bf16-mixed` means bf16 parameters and gradients with fp32 copies
            in the optimizer.
    """
    if stage == 0:
        # DDP's buckets are a second set of gradients; autocast holds a bf16 copy of the weights.
        buffers = 4 * (ranks > 1) + 2 * (precision == "bf16-mixed")
        return States(*(float(parameters) * n for n in (4, 4, 8, buffers)))
    size = 2 if precision.startswith("bf16") else 4
    share = parameters / ranks
    # The optimizer converts its share of the gradients to fp32 while the others are still held. Stage 1 holds all of
    # them during accumulation (without accumulation DeepSpeed 0.19 frees them bucket by bucket).
    gradients = size * (parameters if stage == 1 else share) + MASTER * share
    gathered = min(parameters, LIVE) if stage == 3 else 0
    buckets = 2 * BUCKET if ranks > 1 else 0  # two: one is filled while the other is reduced
    return States(
        parameters=size * (share if stage == 3 else parameters),
        gradients=gradients,
        optimizer=(MASTER + MOMENTS) * share,
        buffers=float(size * (buckets + gathered)),
    )


def activation_bytes(config: WfmConfig, tokens: float, precision: str, checkpointed: bool) -> float:
    """Bytes that autograd saves between the forward and the backward pass.

    Args:
        tokens: tokens of a batch. The encoder is assumed to see `SHOWN` of them, as in batches that train generation.
        checkpointed: activation checkpointing: only the input of each block is saved, and the inside of one block at a
            time.
    """
    size = 2 if precision.startswith("bf16") else 4
    towers = ((SHOWN * config.hidden_size, config.depth), (config.decoder_size, config.decoder_depth))
    if checkpointed:
        blocks = sum(width * depth for width, depth in towers) + max(BLOCK * width for width, _ in towers)
    else:
        blocks = sum(BLOCK * width * depth for width, depth in towers)
    return tokens * (size * blocks + ENTRY * config.entries)


#: Share of tokens that the encoder sees in a batch that trains generation: a third on average, more by chance.
SHOWN = 0.4
#: Values saved per token and unit of width in a transformer block: inputs of both norms 2 and their outputs 2; q, k and
#: v before rotation 3, q and k after it 2; output of attention 1; MLP before and after its nonlinearity 4 + 4.
BLOCK = 18
#: Bytes per entry of a token outside the blocks: batch, components, targets, interpolation, noisy tokens.
ENTRY = 48


def parameter_count(model: WfmForMaskedModeling) -> int:
    """Number of trainable parameters; tied ones count once."""
    return sum(p.numel() for p in model.parameters())
