"""Memory of one rank, in bytes, by ZeRO stage (Rajbhandari et al. 2020, arXiv 1910.02054), as DeepSpeed lays it out.

Model states are exact but for padding: tests compare them with DeepSpeed's own estimators and with the live tensors of
two processes. Activations are counted from what autograd keeps of each layer, a test measures that too. Everything is
added up, although activations are gone when the optimizer steps: the sum is an upper bound of the peak.
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
    """Bytes of one rank. `buffers` hold what is on its way to other ranks, or gathered from them."""

    parameters: float
    gradients: float
    optimizer: float
    buffers: float

    @property
    def total(self) -> float:
        return self.parameters + self.gradients + self.optimizer + self.buffers


def model_states(parameters: int, stage: int, ranks: int, precision: str) -> States:
    """Parameters, gradients and optimizer of a network under AdamW; stage 0 is DDP, or plain on one rank.

    Args:
        precision: of the recipe. DeepSpeed takes `bf16-mixed` as bf16 parameters and gradients with fp32 copies in the
            optimizer.
    """
    if stage == 0:
        # DDP's buckets are a second set of gradients; autocast holds a bf16 copy of the weights.
        buffers = 4 * (ranks > 1) + 2 * (precision == "bf16-mixed")
        return States(*(float(parameters) * n for n in (4, 4, 8, buffers)))
    size = 2 if precision.startswith("bf16") else 4
    share = parameters / ranks
    # The optimizer turns its share of the gradients into fp32, with the others still there. Stage 1 holds them whole
    # while gradients accumulate (DeepSpeed 0.19 frees them bucket by bucket where none do).
    gradients = size * (parameters if stage == 1 else share) + MASTER * share
    gathered = min(parameters, LIVE) if stage == 3 else 0
    buckets = 2 * BUCKET if ranks > 1 else 0  # two: one is imputed while the other is reduced
    return States(
        parameters=size * (share if stage == 3 else parameters),
        gradients=gradients,
        optimizer=(MASTER + MOMENTS) * share,
        buffers=float(size * (buckets + gathered)),
    )


def activation_bytes(config: WfmConfig, tokens: float, precision: str, flow: float, checkpointed: bool) -> float:
    """What autograd keeps between the forward and the backward pass.

    Args:
        tokens: of a batch. The encoder is taken to see `SHOWN` of them, as in a batch that practises generation.
        flow: noisy copies that the flow head sees of each token, about.
        checkpointed: blocks are recomputed: only the input of each stays, and the inside of one at a time.
    """
    size = 2 if precision.startswith("bf16") else 4
    towers = ((SHOWN * config.hidden_size, config.depth), (config.decoder_size, config.decoder_depth))
    if checkpointed:
        blocks = sum(width * depth for width, depth in towers) + max(BLOCK * width for width, _ in towers)
    else:
        blocks = sum(BLOCK * width * depth for width, depth in towers)
    head = flow * FLOW_LAYER * config.flow_width * config.flow_depth
    return tokens * (size * (blocks + head) + ENTRY * config.entries)


#: Share of the tokens that the encoder sees in a batch that practises generation: a third on average, more by chance.
SHOWN = 0.4
#: Numbers kept per token and unit of width. Of a block: inputs of both norms 2 and their outputs 2, q, k and v before
#: rotation 3 and q and k after it 2, attention's output 1, the MLP before and after its nonlinearity 4 + 4.
BLOCK = 18
#: Of a layer of the flow head: what SiLU, modulation and norm of the condition and of the token leave behind.
FLOW_LAYER = 11
#: Bytes per entry of a token outside the blocks: the batch, its components, targets, interpolated lines, noisy tokens.
ENTRY = 48


def parameter_count(model: WfmForMaskedModeling) -> int:
    """Trainable numbers; a tied one counts once."""
    return sum(p.numel() for p in model.parameters())
