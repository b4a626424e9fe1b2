"""Mutants of exports, adapters and training checkpoints, each made in place in a copy of their folder."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mutations import NASTY, bytes_of, changed
from safetensors.torch import load_file, save_file

Mutate = Callable[[random.Random, Path], None]
#: Values that mean something to transformers, PEFT or this library, besides those that mean nothing to anybody.
VALUES: list[Any] = [
    *NASTY,
    *(2, 3, 4, 9_000_000, 10**18, float("nan"), "4", "float16", "bfloat16", "save", "eager", "org/kernel", "moments"),
    *([[8, 4]], [[0, 0]], [[10**9, 10**9]], {"csi": "x"}, {"0": "LABEL_0"}, "LORA", "LOHA", ".*", "all-linear", [".*"]),
    *(["qkv"], ["x"], ["a", "a", "a"], ["a", "b", "c"], "columns+moments", {"base_model_class": "system"}, [None]),
]
#: Keys by which transformers and PEFT open other files, run code or take memory.
KEYS = (
    *("auto_map", "quantization_config", "transformers_weights", "fusion_config", "attn_implementation", "torch_dtype"),
    *("num_labels", "id2label", "label2id", "name_or_path", "pruned_heads", "text_config", "return_dict", "new_key"),
    *("output_hidden_states", "chunk_size_feed_forward", "problem_type", "rank_pattern", "modules_to_save", "dtype"),
)
#: Files that lead a loader elsewhere.
FILES = (
    *("adapter_config.json", "pytorch_model.bin", "adapter_model.safetensors", "generation_config.json", "evil.py"),
    *("sub/config.json", "a\x1b[31m.json", "model-00001-of-00001.safetensors", "preprocessor_config.json", ".hidden"),
)


class Evil:
    """What a pickle may do when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("made-by-a-pickle",)


def json_of(rng: random.Random, folder: Path) -> None:
    """Values of one of the JSON files, or a key that this library does not write."""
    path = rng.choice(sorted(folder.glob("*.json")))
    raw = json.loads(path.read_text())
    if rng.random() < 0.4:
        raw[rng.choice(KEYS)] = rng.choice(VALUES)
    elif rng.random() < 0.4:
        raw[rng.choice(list(raw))] = rng.choice(VALUES)
    else:
        changed(rng, raw, VALUES)
    path.write_text(json.dumps(raw))


def file_bytes(rng: random.Random, folder: Path) -> None:
    """A file cut, with other bytes near its beginning, or replaced; a hostile file may lie beside it."""
    path = rng.choice(sorted(folder.iterdir()))
    data = bytearray(path.read_bytes())
    kind = rng.randrange(6)
    if kind == 0:
        del data[rng.randrange(len(data)) :]
    elif kind <= 2:
        head = data[:4000] if kind == 1 else data[-4000:]  # a zip archive has its directory at the end
        bytes_of(rng, head)
        data = head + data[4000:] if kind == 1 else data[:-4000] + head
    elif kind == 3:
        data[:8] = rng.randrange(2 ** rng.randrange(1, 64)).to_bytes(8, "little")
    elif kind == 4:
        data = bytearray(rng.choice([b"[", b'{"a":']) * rng.randrange(1, 100_000))
    elif data[:1] == b"{":  # what the parser of transformers takes, and this library's does not
        data[:1] = rng.choice(
            [b'{"x":NaN,', b'{"model_type":"wfm",', b'{"x":"\\ud800",', b'{"x":1e999,', b"\xef\xbb\xbf{"]
        )
        (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "../elsewhere", "peft_type": "LORA"}')
    path.write_bytes(data)


def tensors_of(rng: random.Random, folder: Path) -> None:
    """One tensor of a safetensors file missing, renamed, added, of another shape or type, or not finite."""
    path = rng.choice(sorted(folder.glob("*.safetensors")))
    save_file({name: value.contiguous() for name, value in _other(rng, load_file(path)).items()}, path)


def _other(rng: random.Random, held: dict[str, Any]) -> dict[str, Any]:
    name = rng.choice(sorted(held))
    kind = rng.randrange(9)
    if kind == 0:
        del held[name]
    elif kind == 1:
        held[name + "x"] = held[name].clone()
    elif kind == 2:
        drop = rng.choice(["encoder.", "base_model.model.", "parts.0.", "lora_", "model."])
        return {name.removeprefix(drop): value for name, value in held.items()}
    elif kind == 3:
        return {name: value for name, value in held.items() if "lora_B" not in name and "decoder" not in name}
    elif kind == 4:
        held[name] = held[name].flatten()[: rng.randrange(4)]
    elif kind == 5:
        held[name] = held[name].double() * rng.choice([float("nan"), float("inf"), 1e300])
    elif kind == 6:
        held[name] = held[name].to(rng.choice([torch.int64, torch.float16, torch.float64, torch.bool]))
    elif kind == 7:
        held[name] = torch.full_like(held[name], rng.choice([-1, 0, 1, 100]))
    else:
        held[name] = held[name] * -1
    return held


def files_of(rng: random.Random, folder: Path) -> None:
    """Files that lead elsewhere: an adapter or code beside a model, an index, a link, a pipe."""
    outside = folder.parent / "export" / "model.safetensors"
    kind = rng.randrange(4)
    if kind == 0 and (folder / "model.safetensors").exists():
        name = rng.choice(["model-00001-of-00001.safetensors", "../export/model.safetensors", str(outside), "x", None])
        first, *rest = load_file(outside)
        there = dict.fromkeys(rest, "model-00001-of-00001.safetensors") | {first: name}
        (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": there, "metadata": {}}))
    elif kind <= 1:
        path = folder / rng.choice(FILES)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"base_model_name_or_path": str(outside.parent), "peft_type": "LORA"}))
    else:
        path = rng.choice(sorted(folder.iterdir()))
        path.unlink()
        if kind == 2:
            path.symlink_to(rng.choice([outside.parent, outside, Path("/dev/zero"), path]))
        else:
            os.mkfifo(path)


def checkpoint_of(rng: random.Random, folder: Path) -> None:
    """Values of the recipe or tensors of the network in a training checkpoint, or something else in its place."""
    path = folder / "final.ckpt"
    held: Any = torch.load(path, weights_only=True)
    kind = rng.randrange(6)
    if kind <= 1:
        changed(rng, held["recipe"]["model"] if kind else held["recipe"], VALUES)
    elif kind == 2:
        held["state_dict"] = _other(rng, held["state_dict"])
    elif kind == 3:
        strange = [
            None,
            3,
            Evil(),
            torch.zeros(1).expand(10**9),
            torch.eye(3).to_sparse(),
            torch.zeros(2, device="meta"),
        ]
        held["state_dict"][rng.choice([*held["state_dict"], 3, "model.x"])] = rng.choice(strange)
    elif kind == 4:
        held[rng.choice(["recipe", "state_dict", "x"])] = rng.choice([*VALUES, Evil()])
    else:
        held = rng.choice([[], {}, 3, None, Evil(), {"state_dict": 1}, [held]])
    if rng.random() < 0.9:
        torch.save(held, path)
    else:
        path.write_bytes(pickle.dumps(held))


KINDS: dict[str, tuple[str, Mutate]] = {
    "export-values": ("export", json_of),
    "export-bytes": ("export", file_bytes),
    "export-tensors": ("export", tensors_of),
    "export-files": ("export", files_of),
    "adapter-files": ("adapter", files_of),
    "adapter-values": ("adapter", json_of),
    "adapter-bytes": ("adapter", file_bytes),
    "adapter-tensors": ("adapter", tensors_of),
    "checkpoint-files": ("checkpoint", files_of),
    "checkpoint-values": ("checkpoint", checkpoint_of),
    "checkpoint-bytes": ("checkpoint", file_bytes),
}
