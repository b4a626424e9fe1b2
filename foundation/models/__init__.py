"""The network in Hugging Face form. Knows tensors and its own configuration; nothing of files, shards or trainers."""

from foundation.models.config import WfmConfig
from foundation.models.encoder import CONTEXT_TOKENS, EncoderOutput, WfmModel
from foundation.models.kernel_head import KernelHead, StackedHead
from foundation.models.masked import WfmForMaskedModeling
from foundation.models.pooling import pool
from foundation.models.supervised import LinearHead, SupervisedName, SupervisedNetwork
from foundation.models.task import TaskModel

__all__ = [
    "CONTEXT_TOKENS",
    "EncoderOutput",
    "KernelHead",
    "LinearHead",
    "StackedHead",
    "SupervisedName",
    "SupervisedNetwork",
    "TaskModel",
    "WfmConfig",
    "WfmForMaskedModeling",
    "WfmModel",
    "pool",
]
