"""adapter_config.json of PEFT, of which an adapter of this library uses little.

PEFT would follow the rest: to another base, another kind of adapter, patterns of module names, or classes to import.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from peft import LoraConfig
from torch import nn

from foundation.adapt.lora import LORA_MODULES
from foundation.errors import CheckpointError
from foundation.models.folder import read_object
from foundation.models.weights import Shapes

MAX_RANK = 4096
#: What PEFT writes so that `peft.AutoPeftModel` finds the class of the base.
AUTO_MAPPING = {"base_model_class": "WfmModel", "parent_library": "foundation.models.encoder"}
#: Keys that have no influence on what is loaded.
_FREE = {"base_model_name_or_path", "inference_mode", "peft_version", "revision"}


def lora_config(path: Path) -> LoraConfig:
    """The configuration of a LoRA adapter of this library.

    Raises:
        CheckpointError: it is damaged, of another kind, or has a setting that this library never writes.
    """
    raw = read_object(path)
    rank: Any = raw.get("r")
    alpha: Any = raw.get("lora_alpha")
    targets = raw.get("target_modules")
    if raw.get("peft_type") != "LORA":
        raise _refused(path, "peft_type", raw.get("peft_type"), "'LORA'")
    if type(rank) is not int or not 1 <= rank <= MAX_RANK:
        raise _refused(path, "r", rank, f"a whole number from 1 to {MAX_RANK}")
    if type(alpha) not in (int, float) or not (math.isfinite(alpha) and 0 < alpha <= 1e6):
        raise _refused(path, "lora_alpha", alpha, "a number above 0")
    if not isinstance(targets, list) or not targets or not all(name in LORA_MODULES for name in targets):
        raise _refused(path, "target_modules", targets, f"a list of some of {', '.join(LORA_MODULES)}")
    if raw.get("auto_mapping") not in (None, AUTO_MAPPING):
        raise _refused(path, "auto_mapping", raw["auto_mapping"], f"{AUTO_MAPPING} or null")
    usual = LoraConfig().to_dict()
    for name, value in raw.items():
        if name in {"peft_type", "r", "lora_alpha", "target_modules", "auto_mapping"} | _FREE:
            continue
        # Versions of PEFT differ in what there is; what is off is the same in all of them.
        if value not in (None, False, 0, "", [], {}) and value != usual.get(name):
            raise _refused(path, name, value, f"{usual.get(name)!r}")
    return LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets), inference_mode=True)


def lora_shapes(encoder: nn.Module, config: LoraConfig) -> Shapes:
    """Names and shapes of the weights of an adapter, as PEFT saves them."""
    found: Shapes = {}
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in (config.target_modules or ()):
            found[f"base_model.model.{name}.lora_A.weight"] = (config.r, module.in_features)
            found[f"base_model.model.{name}.lora_B.weight"] = (module.out_features, config.r)
    return found


def _refused(path: Path, name: str, value: Any, expected: str) -> CheckpointError:
    return CheckpointError(f"{path}: {name[:80]} is {repr(value)[:80]}; an adapter of this library has {expected}.")
