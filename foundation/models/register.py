"""Register `model_type: wfm` with `transformers.AutoConfig`, `AutoModel` and `AutoModelForPreTraining`."""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoModelForPreTraining

from foundation.models import WfmConfig, WfmForMaskedModeling, WfmModel

AutoConfig.register(WfmConfig.model_type, WfmConfig, exist_ok=True)
AutoModel.register(WfmConfig, WfmModel, exist_ok=True)
AutoModelForPreTraining.register(WfmConfig, WfmForMaskedModeling, exist_ok=True)
