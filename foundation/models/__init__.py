"""The network in Hugging Face form. Knows tensors and its own configuration; nothing of files, shards or trainers."""

from foundation.models.config import WfmConfig
from foundation.models.encoder import CONTEXT_TOKENS, EncoderOutput, WfmModel
from foundation.models.kernel_head import KernelHead, StackedHead
from foundation.models.masked import WfmForMaskedModeling
from foundation.models.pooling import pool
from foundation.models.supervised import Baseline, BaselineName, LinearHead
from foundation.models.task import TaskModel

__all__ = [
    "CONTEXT_TOKENS",
    "Baseline",
    "BaselineName",
    "EncoderOutput",
    "KernelHead",
    "LinearHead",
    "StackedHead",
    "TaskModel",
    "WfmConfig",
    "WfmForMaskedModeling",
    "WfmModel",
    "pool",
]
