"""Pretrain one transformer encoder on any radio signal, then adapt it to any task with LoRA.

    import foundation
    signals = foundation.read("capture.dat")
    batch = foundation.tokenize(signals, model.config)

`import foundation` also makes `transformers.AutoModel` know this library's models. Nothing heavy is imported before it
is used, so that `wfm --help` answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:
    from foundation.data.tokens import tokenize
    from foundation.readers import read
    from foundation.signal import Signal

__version__ = "0.1.0"
__all__ = ["Signal", "__version__", "read", "tokenize"]

_LAZY = {"read": "foundation.readers", "tokenize": "foundation.data.tokens", "Signal": "foundation.signal"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'foundation' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def _register(_: Any) -> None:
    """Tell transformers of the model type; runs when (and only when) its auto classes are imported."""
    importlib.import_module("foundation.models.register")


wrapt.register_post_import_hook(_register, "transformers.models.auto.modeling_auto")
