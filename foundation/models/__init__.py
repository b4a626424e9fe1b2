"""The network in Hugging Face form. Depends on tensors and its configuration; not on files, shards or trainers.

Shapes in signatures use the axis names that `foundation.nn` lists.
"""

from foundation.models.closed_form import ClosedForm
from foundation.models.config import WfmConfig
from foundation.models.encoder import WfmModel
from foundation.models.kernel_head import KernelHead
from foundation.models.masked import WfmForMaskedModeling
from foundation.models.output import EncoderOutput
from foundation.models.pooling import pool
from foundation.models.stacked_head import StackedHead
from foundation.models.structure import CONTEXT_TOKENS
from foundation.models.supervised import LinearHead, SupervisedName, SupervisedNetwork
from foundation.models.task import TaskModel

__all__ = [
    "CONTEXT_TOKENS",
    "ClosedForm",
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
