"""The wheel is whole: built from the sdist, installed alone, it works in a folder without a checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.tiny import environment

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.xdist_group("wheel")

#: What the build reads. A copy keeps the checkout free of build/ and egg-info, and these away from the wheel.
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "foundation", "recipes", "slurm", "shards")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with an sdist and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("build")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in BUILT_FROM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / "source" / name, symlinks=True, ignore=ignored)
        else:
            (folder / "source").mkdir(exist_ok=True)
            shutil.copy(source, folder / "source" / name)
    _call([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(folder / "source")], folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path) -> Path:
    """The `bin` folder of an environment that holds the wheel, and sees this one's other packages."""
    env = built / "env"
    _call([sys.executable, "-m", "venv", "--without-pip", str(env)], built)
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(env / "bin" / "python"), "--disable-pip-version-check"]
    _call([*pip, "install", "--no-deps", "--no-index", str(wheel)], built)
    # A folder named in a .pth file is searched, but .pth files inside it (an editable install of ours) are not run.
    (site,) = env.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return env / "bin"


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Run an installed program in an empty folder."""
    return lambda program, *args: _call([str(installed / program), *args], tmp_path)


def _call(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run without PYTHONPATH, which may lead to a checkout, and require success."""
    env = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done


def _files(source: Path) -> set[str]:
    """Files that the package must hold, by its path in the wheel: links in foundation/ lead to the other folders."""
    places = {"": "", "recipes": "recipes", "slurm": "cluster/templates", "shards": "datasets"}
    found = set()
    for folder, place in places.items():
        root = source / (folder or "foundation")
        files = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        found |= {str(Path("foundation", place, path.relative_to(root))) for path in files}
    return found


def test_wheel_and_sdist_hold_every_file_and_no_other_package(built: Path) -> None:
    wanted = _files(ROOT)
    assert {"foundation/py.typed", "foundation/cluster/templates/pretrain.sbatch"} <= wanted
    assert {"foundation/recipes/pretrain/tiny.yaml", "foundation/datasets/layouts/signfi.yaml"} <= wanted
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert wanted - names == set()
    assert {name.split("/")[0] for name in names} == {"foundation", wheel.name.rsplit("-", 3)[0] + ".dist-info"}
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
        links = [member.name for member in archive if member.issym() or member.islnk()]
    assert wanted - files == set()
    assert links == [], "an unpacked sdist would lack what these lead to"


def test_the_package_comes_from_the_wheel_alone(run: Run, installed: Path, tmp_path: Path) -> None:
    code = "import foundation, foundation.datasets as d; print(foundation.__file__, d.__file__, foundation.__version__)"
    package, datasets, version = run("python", "-c", code).stdout.split()
    for path in (package, datasets):
        assert Path(path).is_relative_to(installed.parent)
    assert run("wfm", "--version").stdout.split() == ["wfm", version]
    probe = "import importlib.util as u; print(u.find_spec('shards'), u.find_spec('recipes'))"
    assert run("python", "-c", probe).stdout.split() == ["None", "None"]


def test_shards_jobs_and_recipes_work_without_a_checkout(run: Run, tmp_path: Path) -> None:
    built = run("wfm", "shards", "build", "simulated", "--out", "sim", "--count", "320")
    assert "320 samples of simulated" in built.stdout
    job = run("wfm", "slurm", "submit", "pretrain", "--config", "recipes/pretrain/tiny.yaml", "--dry-run")
    assert "#SBATCH --job-name=wfm-pretrain-tiny" in job.stdout
    assert "recipes/pretrain/tiny.yaml does not exist in this folder" in job.stderr
    (tmp_path / "mine.yaml").write_text("extends: recipes/pretrain/corpus.yaml\nname: mine\n")
    own = run("wfm", "pretrain", "--config", "mine.yaml", "--dry-run")
    assert "name: mine\n" in own.stdout
    assert "temperature: 2.0\n" in own.stdout
    code = "from foundation.checkpoints.load import load_encoder; print(load_encoder('wfm-small').config.hidden_size)"
    assert int(run("python", "-c", code).stdout) > 0


@pytest.mark.slow
def test_the_quickstart_runs_from_the_wheel(run: Run, tmp_path: Path) -> None:
    run("wfm", "quickstart", "--tiny", "--out", "quick")
    report = (tmp_path / "quick" / "report.html").read_text(encoding="utf-8")
    assert len(report) > 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["quick"]
