"""Facts head: predicts what a simulator knows of a window (`foundation.signal.facts`) from the visible tokens alone."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.models.output import EncoderOutput
from foundation.models.structure import CONTEXT_TOKENS
from foundation.nn.groups import group_mean
from foundation.signal.facts import FACTS, PARTS

PROFILES = sum(fact.is_profile for fact in FACTS)
EPSILON = 1e-6  # the slope of a square root is infinite at 0
OUTPUTS = sum(0 if fact.is_profile else len(fact.classes or "x") for fact in FACTS)
COLUMNS = [sum(fact.size for fact in FACTS[:place]) for place in range(len(FACTS))]  # the first of each fact


class FactsHead(nn.Module):
    """Reads the mean and deviation of the dynamics tokens, the mean of all, and the context; profiles of motion are
    predicted from the tokens of each part of the window, so that these hold what moved when."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.hidden = nn.Linear(4 * width, 2 * width)
        self.out = nn.Linear(2 * width, OUTPUTS)
        self.part = nn.Linear(width, width)
        self.shared = nn.Linear(2 * width, width, bias=False)
        self.profiles = nn.Linear(width, PROFILES)

    def forward(
        self, output: EncoderOutput, batch: dict[str, Tensor]
    ) -> tuple[Float[Tensor, "batch outputs"], Float[Tensor, "batch profiles parts"]]:
        tokens, moving = _tokens(output, batch)
        summary, index = self.summary(output, batch), output.index
        assert index is not None
        weight = parts_of(batch["grid"][..., 0].gather(1, index), moving).to(tokens.dtype)
        local = torch.einsum("bkp,bkh->bph", weight / weight.sum(1, keepdim=True).clamp(min=1e-6), tokens)
        profiles = self.profiles(F.gelu(self.part(local) + self.shared(summary)[:, None]))
        return self.out(summary), profiles.transpose(1, 2)

    def summary(self, output: EncoderOutput, batch: dict[str, Tensor]) -> Float[Tensor, "batch features"]:
        """What the facts of the whole window are read from: features of twice the encoder's width, of any signal."""
        hidden, keep = output.last_hidden_state, output.keep
        assert hidden is not None and keep is not None
        tokens, moving = _tokens(output, batch)
        member, every = (each[..., None].to(tokens.dtype) for each in (moving, keep[:, CONTEXT_TOKENS:]))
        mean = group_mean(tokens, member)
        deviation = (group_mean((tokens - mean).square(), member) + EPSILON).sqrt()
        parts = (mean, deviation, group_mean(tokens, every), hidden[:, CONTEXT_TOKENS - 1 : CONTEXT_TOKENS])
        features = torch.cat(parts, dim=1).flatten(1)
        return F.gelu(self.hidden(self.norm(features.to(self.norm.weight.dtype))))

    def loss(
        self, output: EncoderOutput, batch: dict[str, Tensor]
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """Sum over facts of the cross-entropy, or Huber loss, of those that are known, per sample of the batch; and
        each fact's own, per sample that it is known of."""
        outputs, profiles = (each.float() for each in self(output, batch))
        facts = batch["facts"]
        known = ~facts.isnan()
        errors, start = [], 0
        for fact, column in zip(FACTS, COLUMNS, strict=True):
            if fact.classes is not None:
                found = outputs[:, start : start + len(fact.classes)]
                classes = torch.where(known[:, column], facts[:, column], -100.0).long()
                errors.append(F.cross_entropy(found, classes, reduction="sum"))
                start += len(fact.classes)
        # `FACTS` ends in numbers, of which profiles are the last: in one piece, or each would launch ten kernels.
        numbers = torch.cat([outputs[:, start:], profiles.flatten(1)], dim=1)
        true, of_number = facts[:, -numbers.shape[1] :], known[:, -numbers.shape[1] :]
        each = F.huber_loss(numbers, torch.where(of_number, true, 0.0), reduction="none") * of_number
        sizes = [fact.size for fact in FACTS if fact.classes is None]
        errors += [part.sum() / size for part, size in zip(each.split(sizes, dim=1), sizes, strict=True)]
        every = torch.stack(errors)
        own = every.detach() / torch.stack([known[:, column].sum() for column in COLUMNS]).clamp(min=1)
        names = [fact.name for fact in FACTS]
        return every.sum() / len(facts), dict(zip(names, own.unbind(), strict=True))


def _tokens(
    output: EncoderOutput, batch: dict[str, Tensor]
) -> tuple[Float[Tensor, "batch visible width"], Bool[Tensor, "batch visible"]]:
    """The tokens of the encoder, and which of them are dynamics: all of a single snapshot."""
    hidden, keep, index = output.last_hidden_state, output.keep, output.index
    assert hidden is not None and keep is not None and index is not None
    return hidden[:, CONTEXT_TOKENS:], keep[:, CONTEXT_TOKENS:] & ~batch["static"].gather(1, index)


def parts_of(
    time: Int[Tensor, "batch visible"], moving: Bool[Tensor, "batch visible"]
) -> Float[Tensor, "batch visible parts"]:
    """How much each token has of each of `PARTS` equal parts of the window: falls linearly with the distance.

    Args:
        time: index of the token's patch along time.
    """
    patches = time.amax(1, keepdim=True) + 1
    middle = (torch.arange(PARTS, device=time.device) + 0.5) / PARTS
    away = ((time + 0.5) / patches)[..., None] - middle
    reach = 1 / patches.clamp(max=PARTS)[..., None]
    return (1 - away.abs() / reach).clamp(min=0) * moving[..., None]
