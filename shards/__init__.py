"""Data set definitions, one module each: origin, licence, labels and published splits.

    from foundation.datasets import open_dataset
    dataset = open_dataset("polyu-csi-ips", raw=Path("polyu-csi-ips"))
    dataset = open_dataset("my_set.py", raw=Path("recordings"))                # your own, in any folder

`README.md` beside this file says how to add one.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from foundation.data.shards.manifest import nearest
from foundation.data.shards.spec import Dataset
from foundation.errors import ShardError, WfmError

#: name -> module, imported on demand
DATASETS: dict[str, str] = {
    "ble-rss-fingerprints": "foundation.datasets.ble_rss_fingerprints",
    "contrawimae": "foundation.datasets.contrawimae",
    "csi-bench": "foundation.datasets.csi_bench",
    "csu-indoorloc-nexmon": "foundation.datasets.csu_indoorloc_nexmon",
    "deepmimo": "foundation.datasets.deepmimo",
    "espectre-esp32-chips": "foundation.datasets.espectre_esp32_chips",
    "ewine-uwb": "foundation.datasets.ewine_uwb",
    "hetercsi": "foundation.datasets.hetercsi",
    "ilc20-wifi-floorplans": "foundation.datasets.ilc20_wifi_floorplans",
    "lwm": "foundation.datasets.lwm",
    "mars-mmwave-pointcloud": "foundation.datasets.mars_mmwave_pointcloud",
    "mm-fi": "foundation.datasets.mm_fi",
    "newrf-raytraced-rooms": "foundation.datasets.newrf_raytraced_rooms",
    "ntu-fi-har": "foundation.datasets.ntu_fi_har",
    "ntu-fi-humanid": "foundation.datasets.ntu_fi_humanid",
    "polyu-csi-ips": "foundation.datasets.polyu_csi_ips",
    "powder": "foundation.datasets.powder",
    "radcom": "foundation.datasets.radcom",
    "radhar": "foundation.datasets.radhar",
    "radioml-2016": "foundation.datasets.radioml_2016",
    "radioml-2018": "foundation.datasets.radioml_2018",
    "radioml-2022": "foundation.datasets.radioml_2022",
    "signfi": "foundation.datasets.signfi",
    "simulated": "foundation.datasets.simulated",
    "simulated-corpus": "foundation.datasets.simulated_corpus",
    "simulated-modulation": "foundation.datasets.simulated_modulation",
    "simulated-transmitters": "foundation.datasets.simulated_transmitters",
    "sionna-channels": "foundation.datasets.sionna_channels",
    "stability-csi-har": "foundation.datasets.stability_csi_har",
    "uji-lib-longterm-rssi": "foundation.datasets.uji_lib_longterm_rssi",
    "ujiindoorloc": "foundation.datasets.ujiindoorloc",
    "ut-har": "foundation.datasets.ut_har",
    "uwb-cirs-2018": "foundation.datasets.uwb_cirs_2018",
    "wibasl-csi-sign": "foundation.datasets.wibasl_csi_sign",
    "widar3": "foundation.datasets.widar3",
    "widar3-bvp": "foundation.datasets.widar3_bvp",
    "wifo": "foundation.datasets.wifo",
    "wigesture": "foundation.datasets.wigesture",
    "xrf55": "foundation.datasets.xrf55",
}


def open_dataset(name: str, **options: object) -> Dataset:
    """Open a data set by name, or by file (`*.py`), with its options: `raw` (the folder of its raw files), or the
    parameters of its simulation.

    Raises:
        ShardError: an unknown name, a file without `build` or whose `build` fails, an unknown or missing option, or
            missing raw files.
    """
    if name.endswith(".py"):
        build = _own(Path(name))
    elif name in DATASETS:
        build = importlib.import_module(DATASETS[name]).build
    else:
        raise ShardError(f"no data set {name!r}; name one, or the file of your own, *.py; {nearest(name, DATASETS)}")
    wanted = inspect.signature(build).parameters
    for option in options:
        if option not in wanted:
            raise ShardError(f"data set {name} has no option {option!r}; {nearest(option, wanted)}")
    for option, parameter in wanted.items():
        if parameter.default is parameter.empty and option not in options:
            raise ShardError(f"data set {name} needs the option {option!r}; it takes {', '.join(wanted)}.")
    try:
        dataset = build(**options)
    except (WfmError, MemoryError):
        raise
    except Exception as error:
        raise ShardError(
            f"{name}: build(...) failed{_at(error)} ({type(error).__name__}: {error}); correct the options, the raw "
            "files or the code."
        ) from error
    if not isinstance(dataset, Dataset):
        raise ShardError(
            f"{name}: build(...) returns {type(dataset).__name__}; expected a foundation.data.shards.spec.Dataset."
        )
    if name.endswith(".py"):  # otherwise changed code would resume an old build, or find it finished
        code = hashlib.sha256(Path(name).read_bytes()).hexdigest()[:16]
        return replace(dataset, parameters={**dataset.parameters, "code": code})
    return dataset


def _at(error: Exception) -> str:
    """The file that a data set was reading when it failed: the innermost path among the variables of its functions."""
    found, trace = "", error.__traceback__
    while trace is not None:
        paths = [value for value in trace.tb_frame.f_locals.values() if isinstance(value, Path) and value.is_file()]
        found = f" at {paths[-1]}" if paths else found
        trace = trace.tb_next
    return found


def _own(path: Path) -> Callable[..., object]:
    """Function `build` of a file outside this package. Its folder stays on the import path, for worker processes."""
    if not path.is_file():
        raise ShardError(f"{path}: no such file; expected a module with build(raw), see 'Add one' in shards/README.md.")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = None if "." in path.stem else importlib.import_module(path.stem)
    except Exception as error:
        raise ShardError(f"{path}: cannot be imported ({type(error).__name__}: {error}); correct it first.") from error
    if module is None or Path(module.__file__ or "").resolve() != path.resolve():
        raise ShardError(f"{path}: another module is called {path.stem!r}, or none can be; rename the file.")
    if not hasattr(module, "build"):
        raise ShardError(f"{path}: has no function build; expected build(raw) that returns a Dataset.")
    build: Callable[..., object] = module.build
    return build
