"""Wrong shapes and types are caught where shapes are checked; `tests/nn/test_shapes.py` runs this file so."""

from __future__ import annotations

import sys

import pytest
import torch
from jaxtyping import TypeCheckError

from foundation.data.tokens import tokenize
from foundation.models import LinearHead, WfmModel
from foundation.models.masked_loss import weighted_mean_square
from foundation.nn.attention import attend
from foundation.nn.masks import has_visible_patch
from helpers import ROOT
from helpers.shapes import PACKAGES
from helpers.signals import mixed_signals, tiny_config


def test_a_wrong_shape_is_an_error_in_every_package() -> None:
    x = torch.zeros(2, 4, 7, 8)
    with pytest.raises(TypeCheckError):
        attend(x, x[..., :6], x, None)
    with pytest.raises(TypeCheckError):
        LinearHead(4, 2)(torch.zeros(3, 5, 4))
    with pytest.raises(TypeCheckError):
        weighted_mean_square(torch.zeros(5, 2), torch.ones(5, 1))


def test_a_wrong_type_of_entry_is_an_error() -> None:
    batch = tokenize(mixed_signals(), tiny_config())
    has_visible_patch(batch["grid"], batch["static"], batch["exists"])
    with pytest.raises(TypeCheckError):
        has_visible_patch(batch["grid"], batch["static"], batch["exists"].float())
    with pytest.raises(TypeCheckError):
        WfmModel(tiny_config())(visible=batch["exists"][:, :-1], **batch)


def test_every_module_is_checked() -> None:
    for package in PACKAGES:
        for path in (ROOT / package.replace(".", "/")).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            loaded = sys.modules.get(name)
            if loaded is not None and loaded.__loader__ is not None:
                assert "jaxtyping" in type(loaded.__loader__).__module__, name
