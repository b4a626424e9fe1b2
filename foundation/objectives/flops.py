"""FLOPs of training, counted from the sizes of the network, for progress reports and for planning.

Only matrix products count, a multiply-add as two FLOPs; the backward pass costs twice the forward pass. A test compares
the count with PyTorch's own counter in a real training step.
"""

from __future__ import annotations

from torch import nn

from foundation.models import CONTEXT_TOKENS, WfmForMaskedModeling
from foundation.nn.experts import Experts
from foundation.objectives.masked import MaskedObjective


def training_flops(model: WfmForMaskedModeling, objective: MaskedObjective, samples: float, tokens: float) -> float:
    """FLOPs of one forward and backward pass over so many samples.

    Padding is not counted, so that utilisation is understated, never overstated.

    Args:
        model: may be on the meta device; only its sizes are read.
        tokens: real tokens of all samples together.
    """
    hidden = tokens * objective.hidden_share
    visible = tokens - hidden
    noisy = hidden * objective.noisy_share
    encoder, decoder, config = model.encoder, model.decoder, model.config
    # Each token uses one of the content projections; those of gain and context are too small to count, and so are
    # the heads that read one vector of a sample.
    first = visible * weights(encoder.tokenizer.content[0]) + noisy * weights(decoder.noisy)
    if len(encoder.tokenizer.spectra):
        first += visible * weights(encoder.tokenizer.spectra[0])
    first += (hidden - noisy) * objective.gate_share * weights(model.gate_logits)
    macs = visible * weights(encoder.tokenizer.place.position)
    macs += _transformer(encoder.transformer, config.depth, config.hidden_size, samples, visible)
    macs += visible * weights(decoder.embed) + tokens * weights(decoder.place.position)
    macs += _transformer(decoder.transformer, config.decoder_depth, config.decoder_size, samples, tokens)
    macs += hidden * weights(decoder.predict)
    # No gradient flows back into what was measured: there the backward pass costs as much as the forward pass.
    return 2 * (3 * macs + 2 * first)


def weights(module: nn.Module) -> int:
    """Weights of all matrices that a token is multiplied by: each costs one multiply-add per token."""
    idle = sum(layer.idle for layer in module.modules() if isinstance(layer, Experts))
    return sum(p.numel() for p in module.parameters() if p.ndim == 2) - idle


def _transformer(module: nn.Module, depth: int, width: int, samples: float, tokens: float) -> float:
    """Multiply-adds of the blocks: weights, attention scores, and the weighted mean of values in each sequence."""
    tokens += samples * CONTEXT_TOKENS
    length = tokens / max(samples, 1e-9)
    return tokens * (weights(module) + depth * 2 * length * width)
