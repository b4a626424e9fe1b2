"""The network's configuration in Hugging Face form, stored with every checkpoint."""

from __future__ import annotations

import json
from typing import Any

from transformers import PretrainedConfig

from foundation.config import ModelSection, PretrainRecipe

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


class WfmConfig(PretrainedConfig):
    """Configuration of `WfmModel` and `WfmForMaskedModeling`.

    Args:
        fields: keys of `foundation.config.ModelSection`, which documents and validates them and holds their defaults,
            and those of `transformers.PretrainedConfig`.

    Raises:
        ValidationError (a ValueError): a value is of another type or out of bounds.
    """

    model_type = "wfm"
    hidden_size: int
    depth: int
    heads: int
    decoder_size: int
    decoder_depth: int
    decoder_heads: int
    flow_width: int
    flow_depth: int
    patch_shapes: list[list[int]]
    views: dict[str, str]
    positions: str
    links: int
    experts: int
    experts_active: int

    def __init__(self, **fields: Any) -> None:
        given = {name: fields.pop(name) for name in ModelSection.model_fields if name in fields}
        section = ModelSection.model_validate(given)
        for name, value in section:
            setattr(self, name, value)
        self.patch_shapes = [list(shape) for shape in section.patch_shapes]
        self.views = {**DEFAULT_VIEWS, **section.views}
        super().__init__(**fields)

    @property
    def entries(self) -> int:
        """Entries of a token: real and imaginary part of every value of the largest patch."""
        return 2 * max(times * responses for times, responses in self.patch_shapes)


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
