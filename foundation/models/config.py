"""The network's configuration, in Hugging Face form: everything that a checkpoint needs to read a signal again."""

from __future__ import annotations

import json
from typing import Any

from transformers import PretrainedConfig

from foundation.config import ModelSection, PretrainRecipe

#: How each kind of signal is presented to the network, see foundation.data.views. Measured Wi-Fi phase carries the
#: oscillators of two devices more than it carries the room, so CSI defaults to log amplitude.
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
KINDS = 32  # size of the table of signal kinds: larger than today's list, so that a new kind fits an old checkpoint


class WfmConfig(PretrainedConfig):
    """Configuration of `WfmModel` and `WfmForMaskedModeling`.

    Args:
        fields: keys of `foundation.config.ModelSection`, the one place that describes, checks and defaults them, and
            those of transformers.

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
        """Entries of a token: real and imaginary part of the largest patch."""
        return 2 * max(times * responses for times, responses in self.patch_shapes)


def what_counts(config: WfmConfig) -> dict[str, Any]:
    """What two networks must have in common to be the same function of the same weights: our own fields. Those that
    transformers adds differ between its versions."""
    found: dict[str, Any] = json.loads(
        json.dumps({name: getattr(config, name) for name in ModelSection.model_fields}, sort_keys=True)
    )
    return found


def model_config(recipe: PretrainRecipe) -> WfmConfig:
    """The network's configuration of a recipe."""
    return WfmConfig(**recipe.model.model_dump())
