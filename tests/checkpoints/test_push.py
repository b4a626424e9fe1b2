"""Upload to a stand-in Hub with the real client: atomic, and only files that are safe to load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import save_file

from foundation.checkpoints.push import push, shareable_files
from foundation.errors import CheckpointError

if TYPE_CHECKING:
    from helpers.hub_server import Hub


REPO = "lab/tiny"


def run(code: str, env: dict[str, str]) -> dict[str, object]:
    """Run `code` in a fresh process (the client reads its endpoint at import) and return what it put into `out`."""
    program = f"import json\nfrom pathlib import Path\nout = {{}}\n{code}\nprint(json.dumps(out))"
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def push_code(folder: Path, options: str = "") -> str:
    return f"""
from foundation.errors import CheckpointError
from foundation.checkpoints.push import push
try:
    out["url"] = push(Path({str(folder)!r}), {REPO!r}{options})
except CheckpointError as error:
    out["error"] = str(error)
"""


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name in ("adapter_config.json", "task.json"):
        (folder / name).write_text("{}")
    for name in ("adapter_model.safetensors", "head.safetensors"):
        save_file({"a": np.ones(3, np.float32)}, folder / name)
    return folder


def test_an_export_comes_back_from_the_hub_bit_for_bit(hub: Hub, tmp_path: Path) -> None:
    export, card = tmp_path / "export", "---\nlicense: apache-2.0\n---\n# tiny\n"
    code = f"""
import hashlib
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from transformers import AutoModel, BertConfig, BertModel  # a model that transformers loads without this project
sizes = dict(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
BertModel(BertConfig(**sizes)).save_pretrained({str(export)!r})
Path({str(export)!r}, "README.md").write_text({card!r})
{push_code(export, ", tag='v1'")}
# A branch moves on; the tag and the commit must keep giving the first version.
api = HfApi()
first = api.model_info({REPO!r}).sha
api.create_branch({REPO!r}, branch="draft")
api.upload_file(path_or_fileobj=b"new", path_in_repo="README.md", repo_id={REPO!r}, revision="draft")
for name, revision in dict(main="main", tag="v1", commit=first, draft="draft").items():
    out[name] = Path(hf_hub_download({REPO!r}, "README.md", revision=revision)).read_text()
folder = Path(snapshot_download({REPO!r}, revision="v1"))
out["files"] = sorted(path.name for path in folder.iterdir())
out["weights"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
out["listed"] = sorted(file.path for file in api.list_repo_tree({REPO!r}))
out["paths_info"] = [info.size for info in api.get_paths_info({REPO!r}, ["model.safetensors", "absent"])]
try:
    hf_hub_download({REPO!r}, "absent.json")
except Exception as error:
    out["absent"] = type(error).__name__
out["layers"] = AutoModel.from_pretrained({REPO!r}, revision=first).config.num_hidden_layers
"""
    found = run(code, hub.client_env(tmp_path / "home"))
    stored = hub.repos[REPO].commits[hub.repos[REPO].branches["main"]]
    weights = (export / "model.safetensors").read_bytes()
    assert stored["model.safetensors"].lfs and not stored["config.json"].lfs
    assert (hub.blobs / stored["model.safetensors"].sha256).read_bytes() == weights
    assert found == {
        "url": f"{hub.endpoint}/{REPO}/tree/v1",
        "main": card,
        "tag": card,
        "commit": card,
        "draft": "new",
        "files": sorted(stored),
        "listed": [".gitattributes", "README.md", "config.json", "model.safetensors"],
        "weights": stored["model.safetensors"].sha256,
        "paths_info": [len(weights)],
        "absent": "RemoteEntryNotFoundError",
        "layers": 1,
    }


def test_push_refuses_to_publish_privately_into_a_public_repository(hub: Hub, adapter: Path, tmp_path: Path) -> None:
    env = hub.client_env(tmp_path / "home")
    assert "url" in run(push_code(adapter), env)
    before = dict(hub.repos[REPO].branches)
    assert "is public already" in str(run(push_code(adapter, ", private=True"), env)["error"])
    assert hub.repos[REPO].branches == before


def test_push_creates_a_private_repository_and_keeps_tags_fixed(hub: Hub, adapter: Path, tmp_path: Path) -> None:
    env = hub.client_env(tmp_path / "home")
    assert "url" in run(push_code(adapter, ", private=True, tag='v1'"), env)
    assert hub.repos[REPO].private
    first = hub.repos[REPO].tags["v1"]
    save_file({"a": np.zeros(3, np.float32)}, adapter / "head.safetensors")
    assert "already has a revision named 'v1'" in str(run(push_code(adapter, ", tag='v1'"), env)["error"])
    assert hub.repos[REPO].tags == {"v1": first}
    assert hub.repos[REPO].branches["main"] == first


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("hf_thisTokenIsNotKnown", "does not accept the token (status 401)"),
        ("hf_standInMayOnlyRead", "may not write to lab/tiny (status 403)"),
        (None, "run 'hf auth login', or set HF_TOKEN"),
    ],
)
def test_push_names_what_is_wrong_with_the_token(
    hub: Hub, adapter: Path, tmp_path: Path, token: str | None, expected: str
) -> None:
    error = str(run(push_code(adapter), hub.client_env(tmp_path / "home", token))["error"])
    assert expected in error
    assert token is None or (token not in error and hub.endpoint in error)
    assert hub.repos == {}


def test_push_says_that_the_hub_cannot_be_reached(hub: Hub, adapter: Path, tmp_path: Path) -> None:
    env = hub.client_env(tmp_path / "home") | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    error = str(run(push_code(adapter), env)["error"])
    assert error.startswith("http://127.0.0.1:9 cannot be reached")
    offline = str(run(push_code(adapter), env | {"HF_HUB_OFFLINE": "1"})["error"])
    assert "HF_HUB_OFFLINE is set" in offline


def test_push_refuses_a_name_that_no_hub_takes(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_standIn")
    with pytest.raises(CheckpointError, match=r"not a valid repository name.*'organisation/name'"):
        push(adapter, "lab/../tiny")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "last.ckpt", "optimizer.PT", "scaler.pkl"])
def test_nothing_that_runs_code_when_loaded_is_shared(adapter: Path, name: str) -> None:
    (adapter / name).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=f"{name}: can run code when it is loaded"):
        shareable_files(adapter)


def test_only_a_whole_and_plain_folder_is_shared(adapter: Path, tmp_path: Path) -> None:
    files = ["adapter_config.json", "adapter_model.safetensors", "head.safetensors", "task.json"]
    assert shareable_files(adapter) == files

    (adapter / "notes.txt").write_text("x")
    with pytest.raises(CheckpointError, match=r"notes\.txt: not part of what is shared"):
        shareable_files(adapter)
    (adapter / "notes.txt").unlink()

    (adapter / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(CheckpointError, match=r"README\.md: expected a plain file"):
        shareable_files(adapter)
    (adapter / "README.md").unlink()

    address = {"datasets": [], "recipe": {"data": {"shards": "https://me:key@host.example/a"}}}
    (adapter / "pretraining.json").write_text(json.dumps(address))
    with pytest.raises(CheckpointError, match=r"pretraining\.json: holds an address with a user, a query or a command"):
        shareable_files(adapter)
    seen = {"datasets": [{"homepage": "https://host.example/open?id=3"}], "recipe": {}}
    (adapter / "pretraining.json").write_text(json.dumps(seen))
    assert "pretraining.json" in shareable_files(adapter), "a page that anybody may open"
    (adapter / "pretraining.json").unlink()

    head = adapter / "head.safetensors"
    os.truncate(head, head.stat().st_size - 1)
    with pytest.raises(CheckpointError, match=r"head\.safetensors: cannot be read"):
        shareable_files(adapter)
    head.unlink()
    with pytest.raises(CheckpointError, match=r"head\.safetensors is missing; an adapter holds"):
        shareable_files(adapter)
    with pytest.raises(CheckpointError, match="no such folder"):
        shareable_files(tmp_path / "absent")
