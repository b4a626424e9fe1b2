"""Pretrain one transformer encoder on any radio signal, then adapt it to any task with LoRA.

    import foundation
    model = foundation.load("wfm-small")
    signals = foundation.read("capture.dat")
    features = model(**foundation.tokenize(signals, model.config)).last_hidden_state

`import foundation` also registers the models with `transformers.AutoModel`. Submodules are imported on first use, so
that `wfm --help` does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:
    from foundation.checkpoints.load import load_encoder as load
    from foundation.data.tokens import tokenize
    from foundation.readers import read
    from foundation.signal import Signal

__version__ = "0.1.0"
__all__ = ["Signal", "__version__", "load", "read", "tokenize"]

#: Public name -> module and its name there.
_LAZY = {
    "load": ("foundation.checkpoints.load", "load_encoder"),
    "read": ("foundation.readers", "read"),
    "tokenize": ("foundation.data.tokens", "tokenize"),
    "Signal": ("foundation.signal", "Signal"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'foundation' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)


def _register(_: Any) -> None:
    """Register the model type with transformers; runs when (and only when) its auto classes are imported."""
    importlib.import_module("foundation.models.register")


wrapt.register_post_import_hook(_register, "transformers.models.auto.modeling_auto")
