"""Pretrain one transformer encoder on any radio signal, then adapt it to any task with LoRA.

    import foundation
    model = foundation.load("wfm-small", adapter="runs/finetune/activity")
    signals = foundation.read("capture.dat")
    for window in model.predict(signals):
        print(window.start_s, window.label, window.probability)

`import foundation` also registers the models with `transformers.AutoModel`. Submodules are imported on first use, so
that `wfm --help` does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:
    from foundation.data.tokens import tokenize
    from foundation.predict import load
    from foundation.predict.estimators import WirelessClassifier, WirelessEmbedder, WirelessRegressor
    from foundation.readers import read
    from foundation.signal import Signal

__version__ = "0.1.0"
__all__ = [
    "Signal",
    "WirelessClassifier",
    "WirelessEmbedder",
    "WirelessRegressor",
    "__version__",
    "load",
    "read",
    "tokenize",
]

#: Public name -> module and its name there.
_LAZY = {
    "load": ("foundation.predict", "load"),
    "read": ("foundation.readers", "read"),
    "tokenize": ("foundation.data.tokens", "tokenize"),
    "Signal": ("foundation.signal", "Signal"),
    "WirelessClassifier": ("foundation.predict.estimators", "WirelessClassifier"),
    "WirelessEmbedder": ("foundation.predict.estimators", "WirelessEmbedder"),
    "WirelessRegressor": ("foundation.predict.estimators", "WirelessRegressor"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'foundation' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)


#: Module of transformers -> its auto classes, whose `from_pretrained` is to know this library's models.
_AUTO = {
    "configuration_auto": ("AutoConfig",),
    "feature_extraction_auto": ("AutoFeatureExtractor",),
    "modeling_auto": ("AutoModel", "AutoModelForPreTraining"),
}


def _prepare(module: Any) -> None:
    """Register on the first call; of models at once, for `from_config`. The other two are imported by transformers
    itself, while it is not yet whole."""
    for auto in _AUTO[module.__name__.rpartition(".")[2]]:
        wrapt.wrap_function_wrapper(module, f"{auto}.from_pretrained", _checked)
    if module.__name__.endswith(".modeling_auto"):
        _auto_classes()


def _auto_classes() -> Any:
    return importlib.import_module("foundation.checkpoints.auto_classes")


def _checked(wrapped: Any, _: Any, args: Any, options: Any) -> Any:
    return _auto_classes().checked(wrapped, args, options)


def _allow(auto: Any) -> None:
    """Let `peft.AutoPeftModel` load the base of an adapter: by itself it imports classes of a few packages alone."""
    if (allowed := getattr(auto, "get_default_import_allowlist", None)) is not None:
        auto.get_default_import_allowlist = lambda: [*allowed(), __name__]


for _name in _AUTO:
    wrapt.register_post_import_hook(_prepare, f"transformers.models.auto.{_name}")
wrapt.register_post_import_hook(_allow, "peft.auto")
