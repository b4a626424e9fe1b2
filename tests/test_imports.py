"""Import rules between packages, lazy imports of slow libraries, and no unpickling: checked on the source."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from helpers import ROOT

#: Every package, and what it may import of this project besides itself and `EVERYWHERE`. A dotted name
#: allows that module alone. Modules directly in foundation/ (suite, quickstart, ...) join the packages and may
#: import any of them; a package that needs such a module names it here. `cli` may import everything, and nobody
#: imports it.
ALLOWED: dict[str, set[str]] = {
    "signal": set(),
    "config": set(),
    "results": set(),
    "transforms": {"signal"},
    "readers": {"signal", "config"},
    "simulate": {"readers", "signal", "transforms"},
    "inspect": {"signal", "transforms", "readers", "results"},
    "data": {"signal", "transforms", "config", "nn"},
    "datasets": {"signal", "readers", "simulate", "data"},
    "nn": set(),
    "models": {"signal", "nn", "config", "released"},
    "objectives": {"models", "nn", "config"},
    "checkpoints": {"signal", "data", "models", "results", "config", "released"},
    "generate": {"signal", "data", "models", "nn", "results"},
    "train": {
        "signal",
        "transforms",
        "data",
        "models",
        "nn",
        "objectives",
        "checkpoints",
        "generate",
        "results",
        "config",
        "machine",
        "adapt",
        "released",
    },
    "adapt": {"signal", "transforms", "data", "models", "nn", "config", "released"},
    "cluster": {"config"},
    "evaluate": {
        *(
            "signal",
            "transforms",
            "data",
            "models",
            "objectives",
            "adapt",
            "checkpoints",
            "generate",
            "results",
            "config",
            "machine",
        ),
    },
    "predict": {
        *("signal", "readers", "inspect", "data", "models", "adapt", "checkpoints", "results", "config", "machine"),
    },
    "study": {
        *(
            "signal",
            "data",
            "models",
            "nn",
            "objectives",
            "adapt",
            "train",
            "checkpoints",
            "evaluate",
            "results",
            "config",
            "machine",
        ),
    },
}

#: Modules that every package may import.
EVERYWHERE = {"errors", "files", "json_file", "progress", "redaction", "__version__"}

#: Packages that stand on these libraries and the standard library alone.
STANDS_ON: dict[str, set[str]] = {"signal": {"numpy"}, "nn": {"numpy", "torch", "jaxtyping"}}

#: Libraries and the only packages that may import them, so that a library can be replaced in one place.
HOME: dict[str, set[str]] = {
    "lightning": {"train"},
    "pytorch_lightning": {"train"},
    "deepspeed": {"train", "checkpoints"},  # which reads its files
    "wandb": {"train"},
    "peft": {"adapt"},
    "webdataset": {"data"},
    "fsspec": {"data"},
    "sionna": {"simulate"},
}

#: Libraries that take seconds to load; `wfm --help` must not wait for them.
SLOW = {
    "torch",
    "transformers",
    "lightning",
    "peft",
    "deepspeed",
    "wandb",
    "webdataset",
    "sklearn",
    "scipy",
    "matplotlib",
}

#: `shards/` is where the modules of `foundation.datasets` lie; a link leads there.
SOURCES = sorted(path.relative_to(ROOT) for top in ("foundation", "shards") for path in (ROOT / top).rglob("*.py"))
UNPICKLERS = {
    f"{module}.{name}" for module in ("pickle", "dill", "cloudpickle") for name in ("load", "loads", "Unpickler")
}
UNSAFE_OPTIONS = {"allow_pickle", "trust_remote_code"}


def unit_of(path: Path) -> str:
    """The package, or the module directly in foundation/, that a source file belongs to; "" for foundation itself."""
    inside = path.with_suffix("").parts
    return "datasets" if inside[0] == "shards" else inside[1].removeprefix("__init__")


def imports_of(path: Path, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported, also in functions; "?" if the name is computed."""
    package = path.parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            yield from ((node.lineno, name) for name in computed_imports(node, tree))


def computed_imports(call: ast.Call, tree: ast.AST) -> list[str]:
    """Modules that a call may import: its literal, its own package, or every module that the file names in a string."""
    if call.args and (literal := _text(call.args[0])):
        return [literal]
    argument = ast.unparse(call.args[0]) if call.args else ""
    if argument.startswith(("f'{__name__}.", 'f"{__name__}.')):
        return []
    literals = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [name for name in literals if re.fullmatch(r"foundation(\.\w+)+", name)] or ["?"]


def own_name(dotted: str) -> str | None:
    """`data.stream` for `foundation.data.stream`, "" for foundation; folders that are no packages as they are; None."""
    first, _, rest = dotted.partition(".")
    return {"foundation": rest, "shards": dotted, "recipes": dotted}.get(first)


def forbidden_imports(path: Path, source: str) -> list[str]:
    unit = unit_of(path)
    found = []
    for line, dotted in imports_of(path, ast.parse(source)):
        own, library = own_name(dotted), dotted.split(".")[0]
        if own is None:
            allowed = unit in HOME.get(library, {unit})
            if unit in STANDS_ON and library not in STANDS_ON[unit] | set(sys.stdlib_module_names):
                allowed = False
            if dotted == "?":
                allowed = unit not in ALLOWED
        elif own.split(".")[0] in ("cli", "recipes", "shards"):
            allowed = unit == "cli"
        else:
            may = ALLOWED.get(unit, {own}) | {unit, *EVERYWHERE}
            allowed = any(own == name or own.startswith(f"{name}.") for name in may)
        if not allowed:
            found.append(f"{path}:{line}: {unit or 'foundation'} may not import {dotted}")
    return found


def unsafe_loads(path: Path, source: str) -> list[str]:
    """Calls that run code found in a file, or could: unpickling, torch.load, remote code."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, dot, rest = ast.unparse(node.func).partition(".")
            name = names.get(first, first) + dot + rest
            options = {option.arg: option.value for option in node.keywords}
            weights_only = options.get("weights_only")
            if name in UNPICKLERS or (name == "torch.load" and not _is(weights_only, True)):
                found.append(f"{path}:{node.lineno}: {name} can run code from the file")
        elif isinstance(node, ast.Dict):
            options = {_text(key): value for key, value in zip(node.keys, node.values, strict=True)}
        else:
            continue
        unsafe = [name for name in UNSAFE_OPTIONS & options.keys() if not _is(options[name], False)]
        found.extend(f"{path}:{node.lineno}: {name} is not False" for name in unsafe)
    return found


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_every_import_is_in_the_table_and_nothing_is_unpickled(path: Path) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert forbidden_imports(path, source) + unsafe_loads(path, source) == []


def test_every_package_is_in_the_table() -> None:
    packages = {unit_of(path) for path in SOURCES if path.name == "__init__.py"} - {""}
    assert packages == set(ALLOWED) | {"cli"}
    assert set(STANDS_ON).union(*HOME.values()) <= packages


def test_no_package_imports_itself_through_another() -> None:
    edges: dict[str, set[str]] = {}
    for path in SOURCES:
        unit = unit_of(path)
        for _, dotted in imports_of(path, ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            target = (own_name(dotted) or "").split(".")[0]
            if unit and target not in ("", unit):  # foundation itself only offers names, loaded when they are asked for
                edges.setdefault(unit, set()).add(target)
    TopologicalSorter(edges).prepare()  # raises CycleError, which lists the cycle
    allowed = {unit: {name.split(".")[0] for name in names} for unit, names in ALLOWED.items()}
    TopologicalSorter(allowed).prepare()


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("foundation/nn/blocks.py", "import transformers"),
        ("foundation/nn/blocks.py", "from foundation.signal import Signal"),
        ("foundation/nn/blocks.py", "from ..signal import Signal"),
        ("foundation/models/encoder.py", "def f():\n    from foundation.data.stream import Stream"),
        ("foundation/models/encoder.py", "from importlib import import_module\nimport_module('foundation.data')"),
        ("foundation/models/encoder.py", "import importlib\nimportlib.import_module(name)"),
        ("foundation/models/encoder.py", "X = {'a': 'foundation.data'}\nimportlib.import_module(X[name])"),
        ("foundation/data/stream.py", "from foundation import models"),
        ("foundation/data/stream.py", "import foundation"),
        ("foundation/data/stream.py", "import foundation.datasets.polyu"),
        ("foundation/checkpoints/card.py", "from foundation.evaluate import probes"),
        ("foundation/checkpoints/card.py", "from foundation.resultsome import Row"),
        ("foundation/results/rows.py", "from foundation.evaluate.statistics.metrics import accuracy"),
        ("foundation/evaluate/probes.py", "from lightning.pytorch import Trainer"),
        ("foundation/evaluate/probes.py", "import_module('lightning.pytorch')"),
        ("foundation/train/module.py", "from peft import LoraConfig"),
        ("foundation/quickstart.py", "from foundation.cli import main"),
        ("shards/polyu.py", "from foundation.models import WfmModel"),
    ],
)
def test_a_forbidden_import_is_found(path: str, source: str) -> None:
    assert len(forbidden_imports(Path(path), source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("foundation/nn/blocks.py", "import math\nfrom torch import nn\nfrom foundation.nn.masks import draw_mask"),
        (
            "foundation/checkpoints/card.py",
            "from foundation.results.rows import Row\nfrom foundation.errors import WfmError",
        ),
        ("shards/__init__.py", "X = {'a': 'foundation.datasets.polyu'}\nimportlib.import_module(X[name])"),
        ("foundation/readers/__init__.py", 'importlib.import_module(f"{__name__}.{name}")'),
        ("foundation/quickstart.py", "from foundation.train import fit\nimport foundation.datasets.polyu"),
        ("foundation/cli/quickstart.py", "from foundation.quickstart import run\nfrom foundation import __version__"),
    ],
)
def test_a_permitted_import_is_let_through(path: str, source: str) -> None:
    assert forbidden_imports(Path(path), source) == []


@pytest.mark.parametrize(
    ("source", "unsafe"),
    [
        ("import pickle\npickle.load(f)", True),
        ("from pickle import loads as read\nread(b)", True),
        ("import torch\ntorch.load(f)", True),
        ("import torch as t\nt.load(f, weights_only=False)", True),
        ("import torch\ntorch.load(f, weights_only=True)", False),
        ("import numpy as np\nnp.load(f, allow_pickle=flag)", True),
        ("import numpy as np\nnp.load(f, allow_pickle=False)", False),
        ("AutoModel.from_pretrained(x, trust_remote_code=True)", True),
        ("AutoModel.from_pretrained(x, **{'trust_remote_code': True})", True),
        ("import json\njson.loads(b)", False),
    ],
)
def test_an_unsafe_load_is_found(source: str, unsafe: bool) -> None:
    assert len(unsafe_loads(Path("foundation/checkpoints/x.py"), source)) == unsafe


@pytest.mark.parametrize(
    "code",
    [
        "import foundation",
        "from foundation.cli import main\nsys.argv = ['wfm', '--help']\ntry:\n    main()\nexcept SystemExit: pass",
    ],
    ids=["import foundation", "wfm --help"],
)
def test_slow_libraries_wait_until_they_are_needed(code: str) -> None:
    report = "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    command = [sys.executable, "-c", f"import json, sys\n{code}\n{report}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    assert SLOW & set(json.loads(done.stdout.splitlines()[-1])) == set()
