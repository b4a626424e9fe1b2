"""Fuzz exports, adapters and training checkpoints: tests/fuzz/checkpoints.py [--count 2000] [--seed 0].

Whatever a mutant holds, loading it ends in a `WfmError`, or in a network with the weights that are in the file, whose
outputs are the same as before where weights and configuration are: no other exception, no more than two seconds, no
memory over ten times the files, nothing written, started or asked of a network.
"""

from __future__ import annotations

import argparse
import copy
import faulthandler
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from checkpoint_mutants import KINDS
from helpers.signals import make_signal, tiny_config
from mutations import peak_memory
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModel

from foundation.adapt.adapter_files import load_adapter, save_adapter, weights_hash
from foundation.adapt.lora import LORA_MODULES
from foundation.checkpoints.exported import quietly
from foundation.checkpoints.load import load_encoder
from foundation.config import ModelSection, PretrainRecipe
from foundation.data.labelled import Target
from foundation.data.tokens import tokenize
from foundation.errors import WfmError
from foundation.models import KernelHead, StackedHead, TaskModel, WfmForMaskedModeling, WfmModel
from foundation.models.config import architecture

LIMIT_S = 2.0
ROOM = 128 * 2**20  # resident memory that Python and torch need for any file
SIGNAL = make_signal(0)
ALPHA = 8  # of the adapter
#: What a load must not do, as Python's audit hooks call it.
WRITES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")


Tensors = Mapping[str, Tensor]


class Watch:
    """Notes what is written, started or connected to while it is armed; a hook cannot be taken away again."""

    def __init__(self) -> None:
        self.armed, self.seen = False, list[str]()
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
        opened = event == "open" and arguments[0] != os.devnull and int(arguments[2] or 0) & writing
        if opened or event in WRITES or event in STARTS:
            self.seen.append(f"{event} {str(arguments)[:200]}")


class Originals:
    """A tiny export, an adapter to it and its training checkpoint, and what is right about a network made of them."""

    def __init__(self, root: Path) -> None:
        torch.manual_seed(0)
        masked = WfmForMaskedModeling(tiny_config()).eval()
        self.encoder: WfmModel = masked.encoder
        masked.save_pretrained(root / "export")
        config = architecture(masked.config)
        recipe = PretrainRecipe.model_validate(
            {
                "name": "x",
                "out": "x",
                "data": {"shards": "s"},
                "train": {"steps": 1},
                "model": {name: config[name] for name in ModelSection.model_fields},
            }
        )
        (root / "checkpoint").mkdir()
        state = {f"model.{name}": value for name, value in masked.state_dict().items()}
        torch.save({"state_dict": state, "recipe": recipe.model_dump(mode="json")}, root / "checkpoint" / "final.ckpt")
        lora = LoraConfig(r=4, lora_alpha=ALPHA, target_modules=LORA_MODULES)
        adapted = get_peft_model(copy.deepcopy(self.encoder), lora)
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.data.normal_()
        features = torch.randn(20, 2 * masked.config.hidden_size)
        head = KernelHead.fitted(features, torch.arange(20) % 3, 3, 0, 0.1, 1.0)
        self.task = TaskModel(adapted, StackedHead.of([(head, 0, 1.0)]), "context").eval()
        target = Target("activity", ("a", "b", "c"), 3)
        save_adapter(self.task, target, "wfm-small", weights_hash(self.encoder), root / "adapter")
        with torch.no_grad():
            batch = tokenize(SIGNAL, masked.config)
            self.hidden = self.encoder(**batch).last_hidden_state
            self.logits = self.task(**batch)

    def check_encoder(self, model: WfmModel, held: Tensors, prefix: str) -> str:
        """What is wrong with an encoder, of which `held` is what the file holds; "" if nothing is."""
        state, before = model.state_dict(), self.encoder.state_dict()
        there = {name.removeprefix(prefix): value for name, value in held.items() if str(name).startswith(prefix)}
        if state.keys() != there.keys() or any(not _equal(state[name], there[name]) for name in state):
            return "its weights are not those of the file"
        with torch.no_grad():
            hidden = model(**tokenize(SIGNAL, model.config), return_dict=True).last_hidden_state
        same = architecture(model.config) == architecture(self.encoder.config) and model.dtype == torch.float32
        same = same and all(torch.equal(state[name], before[name]) for name in before)
        return "the same weights give other outputs" if same and not torch.equal(hidden, self.hidden) else ""

    def export(self, folder: Path) -> str:
        def by(load: Callable[[str], WfmModel]) -> str:
            model = load(str(folder))
            whole = folder / "model.safetensors"
            paths = [whole] if whole.exists() else folder.glob("model-*.safetensors")
            held = {name: value for path in paths for name, value in load_file(path).items()}
            return self.check_encoder(model, held, "encoder." if any(n.startswith("encoder.") for n in held) else "")

        try:
            wrong = by(load_encoder)
        except WfmError:
            wrong = ""
        path = folder / "config.json"  # which, if it no longer says whose it is, this library does not refuse
        try:
            ours = path.is_file() and json.loads(path.read_bytes())["model_type"] == "wfm"
        except (ValueError, LookupError, TypeError, RecursionError):
            ours = False
        return wrong or (by(AutoModel.from_pretrained) if ours else "")

    def adapter(self, folder: Path) -> str:
        loaded = load_adapter(folder, copy.deepcopy(self.encoder)).model
        state = _state(loaded)
        held = load_file(folder / "adapter_model.safetensors") | load_file(folder / "head.safetensors")
        later = {name for name in state.keys() - held.keys() if name.endswith(".reach")}  # earlier kernels had none
        if state.keys() != held.keys() | later or any(not _equal(state[name], held[name]) for name in held):
            return "its weights are not those of the files"
        with torch.no_grad():
            logits = loaded(**tokenize(SIGNAL, self.encoder.config))
        alpha = json.loads((folder / "adapter_config.json").read_bytes())["lora_alpha"]
        same = alpha == ALPHA and loaded.pooling == self.task.pooling
        same = same and all(held[name].dtype == value.dtype for name, value in _state(self.task).items())
        same = same and all(torch.equal(held[name], value) for name, value in _state(self.task).items())
        return "the same weights give other outputs" if same and not torch.equal(logits, self.logits) else ""

    def checkpoint(self, folder: Path) -> str:
        encoder = load_encoder(folder / "final.ckpt")
        held = torch.load(folder / "final.ckpt", weights_only=True)["state_dict"]
        return self.check_encoder(encoder, held, "model.encoder.")


def _equal(loaded: Tensor, held: Tensor) -> bool:
    return loaded.shape == held.shape and torch.equal(loaded, held.to(loaded.dtype))


def _state(model: TaskModel) -> dict[str, Tensor]:
    """Weights of adapter and head, as they are called in the two files."""
    return {**get_peft_model_state_dict(model.encoder), **model.head.state_dict()}


def problem_of(check: Callable[[Path], str], folder: Path, watch: Watch) -> str:
    """What is wrong with how a folder is loaded; "" if nothing is."""
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    started, before = time.process_time(), peak_memory()
    watch.seen, watch.armed = [], True
    faulthandler.dump_traceback_later(60, exit=True)  # native code may wait where no Python handler is called
    wrong = ""
    try:
        wrong = check(folder)
    except WfmError as error:
        wrong = "an error of several lines" if "\n" in str(error) else ""
    except Exception:
        wrong = traceback.format_exc()
    finally:
        faulthandler.cancel_dump_traceback_later()
        watch.armed = False
    if watch.seen:
        return f"it did more than read: {watch.seen[0]}"
    if (spent := time.process_time() - started) > LIMIT_S:
        return f"it took {spent:.1f} s"
    grown = peak_memory() - before
    return wrong or (f"it took {grown} bytes of memory for {size}" if grown > 10 * size + ROOM else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="mutants of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    failed, watch = 0, Watch()
    with tempfile.TemporaryDirectory() as made, quietly():
        root, mutant = Path(made), Path(made, "mutant")
        originals = Originals(root)
        for kind in ("export", "adapter", "checkpoint"):
            problem_of(getattr(originals, kind), root / kind, watch)  # what is imported once does not count
            if wrong := problem_of(getattr(originals, kind), root / kind, watch):
                sys.exit(f"{kind} as it was made: {wrong}")
        for name, (kind, mutate) in KINDS.items():
            failures = 0
            for number in range(options.count):
                shutil.rmtree(mutant, ignore_errors=True)
                shutil.copytree(root / kind, mutant)
                mutate(random.Random(f"{options.seed} {name} {number}"), mutant)
                if wrong := problem_of(getattr(originals, kind), mutant, watch):
                    failures += 1
                    print(f"{name} {number}: {wrong}")
            print(f"{options.count} mutants of {name}, {failures} failures", flush=True)
            failed += failures
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
