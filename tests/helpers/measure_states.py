"""Pretraining runs, one after the other, and in rank 0 how many bytes of tensors live at most in each (test_plan.py).

    python tests/helpers/measure_states.py OUT.json RECIPE ...

Seen are the tensors that Python holds: model states and DeepSpeed's buffers, not what autograd keeps.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch.optim.optimizer import register_optimizer_step_pre_hook

from foundation.config import PretrainRecipe, load_recipe
from foundation.train import pretrain as run

seen: list[int] = []


def look(*_: Any) -> None:
    """Storages, each once, of all live tensors."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if type(thing) in (torch.Tensor, torch.nn.Parameter)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors if not t.is_meta}
    seen.append(sum(storages.values()))


class Look(Callback):
    """At the end of the backward pass; the hook below looks when the optimizer is about to step."""

    def on_after_backward(self, *_: Any) -> None:
        look()


callbacks = run.callbacks_of
run.callbacks_of = lambda of: [*callbacks(of), Look()]
register_optimizer_step_pre_hook(look)
most, is_writer = {}, False
for config in sys.argv[2:]:
    look()
    before = seen[-1]  # what an earlier run has left
    seen.clear()
    is_writer = run.pretrain(load_recipe(Path(config), PretrainRecipe)).is_writer
    most[Path(config).stem] = max(seen) - before
if is_writer:
    Path(sys.argv[1]).write_text(json.dumps(most))
