"""The network's configuration, in Hugging Face form: everything that a checkpoint needs to read a signal again."""

from __future__ import annotations

import inspect
import json
from typing import Any, Literal

from transformers import PretrainedConfig

from foundation.config import PretrainRecipe

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


class WfmConfig(PretrainedConfig):
    """Configuration of `WfmModel` and `WfmForMaskedModeling`.

    Args:
        hidden_size, depth, heads: the encoder.
        decoder_size, decoder_depth, decoder_heads: the light transformer that fills in hidden tokens.
        flow_width, flow_depth: the diffusion head.
        patch_shapes: (times, responses) of a token; a signal takes the first shape that is not longer than it in time.
        views: kind -> view.
        positions: `physical`, seconds, hertz and delay; or `index`, as networks that count samples see them: as if
            every signal were sampled alike, and by nobody knows what radio. For comparisons.
        links: size of the tables of antenna indices: its square is told apart, of transmitters and receivers each.
        kinds: size of the table of signal kinds; larger than today's list, so that a new kind fits an old checkpoint.
        dropout: of the encoder's residual branches.
        experts: of every feed-forward layer of the encoder, 0 where it is dense; experts_active: that a token goes
            through, together as wide as the dense layer.
    """

    model_type = "wfm"

    def __init__(
        self,
        hidden_size: int = 128,
        depth: int = 4,
        heads: int = 4,
        decoder_size: int = 96,
        decoder_depth: int = 2,
        decoder_heads: int = 4,
        flow_width: int = 192,
        flow_depth: int = 3,
        patch_shapes: list[list[int]] | None = None,
        views: dict[str, str] | None = None,
        positions: Literal["physical", "index"] = "physical",
        links: int = 64,
        kinds: int = 32,
        dropout: float = 0.0,
        experts: int = 0,
        experts_active: int = 1,
        **kwargs: Any,
    ) -> None:
        self.hidden_size = hidden_size
        self.depth = depth
        self.heads = heads
        self.decoder_size = decoder_size
        self.decoder_depth = decoder_depth
        self.decoder_heads = decoder_heads
        self.flow_width = flow_width
        self.flow_depth = flow_depth
        self.patch_shapes = patch_shapes or [[16, 8], [4, 8], [1, 16]]
        self.views = {**DEFAULT_VIEWS, **(views or {})}
        self.positions: str = positions
        self.links = links
        self.kinds = kinds
        self.dropout = dropout
        self.experts = experts
        self.experts_active = experts_active
        super().__init__(**kwargs)

    @property
    def entries(self) -> int:
        """Entries of a token: real and imaginary part of the largest patch."""
        return 2 * max(times * responses for times, responses in self.patch_shapes)


def what_counts(config: WfmConfig) -> dict[str, Any]:
    """What two networks must have in common to be the same function of the same weights: our own fields. Those that
    transformers adds differ between its versions."""
    own = [name for name in inspect.signature(WfmConfig.__init__).parameters if name not in ("self", "kwargs")]
    found: dict[str, Any] = json.loads(json.dumps({name: getattr(config, name) for name in own}, sort_keys=True))
    return found


def model_config(recipe: PretrainRecipe) -> WfmConfig:
    """The network's configuration of a recipe."""
    numbers = recipe.model.model_dump()
    numbers["patch_shapes"] = [list(shape) for shape in recipe.model.patch_shapes]
    return WfmConfig(**numbers)
