"""The network's configuration in Hugging Face form, stored with every checkpoint."""

from __future__ import annotations

import json
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json
from transformers import PretrainedConfig

from foundation.config import ModelSection, PretrainRecipe
from foundation.config.renamed import DELETED
from foundation.config.yaml_errors import explain
from foundation.errors import CheckpointError

#: Signal kind -> view (the representation the network reads), see foundation.data.views. Measured Wi-Fi phase depends
#: more on the oscillators of two devices than on the room, so CSI defaults to log amplitude.
DEFAULT_VIEWS = {
    "csi": "log-amplitude",
    "csi-amplitude": "log-amplitude",
    "channel": "field",
    "iq": "field",
    "spectrogram": "log-amplitude",
    "radar": "field",
    "cir": "log-amplitude",
    "rssi": "field",
}
KINDS = 32  # rows of the embedding of signal kinds: more than there are kinds, so that a new one fits old checkpoints

#: Keys of transformers that may differ from its defaults, and their types. All others could make it open other files,
#: fetch code, or take memory: `auto_map`, `quantization_config`, `num_labels` and so on.
_OF_TRANSFORMERS: dict[str, tuple[type, ...]] = {
    "transformers_version": (str, type(None)),
    "architectures": (list, type(None)),
    "dtype": (str, torch.dtype, type(None)),
    "torch_dtype": (str, torch.dtype, type(None)),
    "output_hidden_states": (bool, type(None)),
    "return_dict": (bool, type(None)),
    "name_or_path": (str, Path, type(None)),
    "_name_or_path": (str, Path, type(None)),
    "attn_implementation": (str, type(None)),
    "_attn_implementation": (str, type(None)),
}
_CHOICES = {
    "dtype": ("float32", "float16", "bfloat16", "float64"),
    "torch_dtype": ("float32", "float16", "bfloat16", "float64"),
    "attn_implementation": ("sdpa",),  # an unknown name is a repository, whose code would be run
    "_attn_implementation": ("sdpa",),
}


class WfmConfig(PretrainedConfig):
    """Configuration of `WfmModel` and `WfmForMaskedModeling`.

    Args:
        fields: keys of `foundation.config.ModelSection`, which documents and validates them and holds their defaults,
            and those of `transformers.PretrainedConfig`.

    Raises:
        CheckpointError: a key is unknown, or a value is of another type or out of bounds.
    """

    model_type = "wfm"
    #: Outputs that transformers' Trainer does not gather when it evaluates.
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["hidden_states", "components", "encoded"]
    hidden_size: int
    depth: int
    heads: int
    decoder_size: int
    decoder_depth: int
    decoder_heads: int
    patch_shapes: list[list[int]]
    views: dict[str, str]
    positions: str
    delay_doppler: bool
    facts: bool
    spectrum: bool
    links: int
    experts: int
    experts_active: int

    def __init__(self, **fields: Any) -> None:
        given = {name: fields.pop(name) for name in ModelSection.model_fields if name in fields}
        section = _section(given)
        _check_of_transformers(fields)
        for name, value in section:
            setattr(self, name, value)
        self.patch_shapes = [list(shape) for shape in section.patch_shapes]
        self.views = {**DEFAULT_VIEWS, **section.views}
        super().__init__(**fields)

    @property
    def entries(self) -> int:
        """Entries of a token: real and imaginary part of every value of the largest patch."""
        return 2 * max(times * responses for times, responses in self.patch_shapes)


def _section(given: dict[str, Any]) -> ModelSection:
    try:
        # As JSON: then a list may stand for a pair, and nothing else is converted (no "4", no true, no 4.0).
        return ModelSection.model_validate_json(to_json(given), strict=True)
    except ValidationError as error:
        raise CheckpointError(explain(Path("config.json"), error, ModelSection)) from None
    except PydanticSerializationError as error:
        raise CheckpointError(f"config.json: a value is no number, text or list ({error}).") from None


@cache
def _defaults() -> dict[str, Any]:
    """What transformers itself writes into every configuration; keys of id2label as they are in JSON."""
    found: dict[str, Any] = json.loads(json.dumps(PretrainedConfig().to_dict()))
    return found | {"model_type": WfmConfig.model_type, "num_labels": 2, "use_cache": True}


def _check_of_transformers(fields: dict[str, Any]) -> None:
    """Refuse keys that are neither the network's nor harmless.

    Raises:
        CheckpointError: there is one; names it.
    """
    for name, value in fields.items():
        if name in _OF_TRANSFORMERS:
            allowed = isinstance(value, _OF_TRANSFORMERS[name])
            if isinstance(value, str) and name in _CHOICES:
                allowed = value in _CHOICES[name]
            if isinstance(value, list):
                allowed = allowed and all(isinstance(each, str) for each in value)
        else:
            # Small before it is compared: a list of labels may have any length.
            small = not isinstance(value, dict) or len(value) <= len(_defaults())
            known = {str(key): each for key, each in value.items()} if small and isinstance(value, dict) else value
            allowed = name in _defaults() and small and known == _defaults()[name]
        if not allowed:
            if name in ("attn_implementation", "_attn_implementation"):
                raise CheckpointError(
                    f"{name} may not be {repr(value)[:80]}: the network takes FlashAttention where a GPU has it and "
                    "PyTorch's kernels elsewhere, by itself; leave it out, or take 'sdpa'."
                )
            if f"ModelSection.{name}" in DELETED:
                raise CheckpointError(
                    f"config.json: {name!r} was removed, {DELETED[f'ModelSection.{name}']}: this configuration is of "
                    "an earlier version, which loads it; or pretrain anew."
                )
            near = get_close_matches(name, ModelSection.model_fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "; this network has no such setting."
            raise CheckpointError(f"config.json: {name[:80]!r} may not be {repr(value)[:80]}{hint}")


def architecture(config: WfmConfig) -> dict[str, Any]:
    """The fields that define the network: equal for two networks that compute the same from the same weights.

    Fields that transformers adds are left out; they differ between its versions.
    """
    found: dict[str, Any] = json.loads(
        json.dumps({name: getattr(config, name) for name in ModelSection.model_fields}, sort_keys=True)
    )
    return found


def model_config(recipe: PretrainRecipe) -> WfmConfig:
    """The network configuration of a pretraining recipe."""
    return WfmConfig(**recipe.model.model_dump())
