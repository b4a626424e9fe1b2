"""Networks with random weights: the control of every evaluation."""

from __future__ import annotations

from typing import TypeVar

import torch
from transformers import PreTrainedModel

from foundation.models.config import WfmConfig

M = TypeVar("M", bound=PreTrainedModel)


def untrained(kind: type[M], config: WfmConfig, seed: int) -> M:
    """A network of this class and configuration with the random weights of `seed`, in evaluation mode.

    Seeds torch's global generator.
    """
    torch.manual_seed(seed)
    model = kind(config)
    model.eval()
    return model
