"""The auto classes of transformers: they know `model_type: wfm`, and the released models by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining

from foundation.checkpoints.feature_extractor import WfmFeatureExtractor
from foundation.files import read_regular
from foundation.json_file import MOST_BYTES
from foundation.models import WfmConfig, WfmForMaskedModeling, WfmModel
from foundation.models.folder import CONFIG, check_folder
from foundation.released import released, resolve


def checked(wrapped: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """`from_pretrained` of an auto class: a released name is its folder, and a folder of this library is checked first.

    transformers would otherwise follow an adapter beside the model before it asks for the model's class.
    """
    given = args[0] if args else options.get("pretrained_model_name_or_path")
    if isinstance(given, str | Path):
        if not Path(given).exists() and str(given) in released():
            source = str(resolve(given))
            args, options = (
                (source, *args[1:]),
                {k: v for k, v in options.items() if k != "pretrained_model_name_or_path"},
            )
        elif _is_ours(Path(given)):
            check_folder(Path(given))
    return wrapped(*args, **options)


def _is_ours(folder: Path) -> bool:
    """Whether transformers would find a model of this library there; `check_folder` refuses what only it can parse."""
    try:
        raw = json.loads(read_regular(folder / CONFIG, MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(raw, dict) and raw.get("model_type") == WfmConfig.model_type


AutoConfig.register(WfmConfig.model_type, WfmConfig, exist_ok=True)
AutoModel.register(WfmConfig, WfmModel, exist_ok=True)
AutoModelForPreTraining.register(WfmConfig, WfmForMaskedModeling, exist_ok=True)
AutoFeatureExtractor.register(WfmConfig, WfmFeatureExtractor, exist_ok=True)
