"""FLOPs of training, counted from the sizes of the network: for what a run prints and for what a plan expects.

Matrix products only, a multiply-add as two; the backward pass costs twice the forward pass. A test compares the count
with what PyTorch's own counter sees in a real step.
"""

from __future__ import annotations

from torch import nn

from foundation.models import CONTEXT_TOKENS, WfmForMaskedModeling
from foundation.nn.experts import Experts
from foundation.objectives.masked import FLOW_SHARE, MaskedObjective


def training_flops(model: WfmForMaskedModeling, objective: MaskedObjective, samples: float, tokens: float) -> float:
    """FLOPs to train once on so many samples, forward and backward.

    Only work on real tokens counts: none for padding, and none for static tokens that the flow head always takes, so
    utilisation is understated, never overstated.

    Args:
        model: may stand on the meta device; only its sizes are read.
        tokens: real tokens of all samples together.
    """
    hidden = tokens * objective.hidden_share
    visible = tokens - hidden
    flow = hidden * FLOW_SHARE * objective.flow_levels if objective.flow_weight else 0.0
    encoder, decoder, config = model.encoder, model.decoder, model.config
    # One content projection of several is taken; the gain and context projections are too small to count.
    macs = visible * (weights(encoder.tokenizer.content[0]) + weights(encoder.tokenizer.place.position))
    macs += _transformer(encoder.transformer, config.depth, config.hidden_size, samples, visible)
    macs += visible * weights(decoder.embed) + tokens * weights(decoder.place.position)
    macs += _transformer(decoder.transformer, config.decoder_depth, config.decoder_size, samples, tokens)
    macs += hidden * (weights(model.mean) + objective.gate_share * weights(model.gate_logits)) + flow * weights(
        model.flow
    )
    return 3 * 2 * macs


def weights(module: nn.Module) -> int:
    """Entries of all matrices of a module that a token goes through: each costs one multiply-add per token."""
    idle = sum(layer.idle for layer in module.modules() if isinstance(layer, Experts))
    return sum(p.numel() for p in module.parameters() if p.ndim == 2) - idle


def _transformer(module: nn.Module, depth: int, width: int, samples: float, tokens: float) -> float:
    """Multiply-adds of the blocks: weights, and attention scores and their mixture of values over each sequence."""
    tokens += samples * CONTEXT_TOKENS
    length = tokens / max(samples, 1e-9)
    return tokens * (weights(module) + depth * 2 * length * width)
