"""From `wfm pretrain` to `AutoModel.from_pretrained` over HTTP: bit-equal outputs throughout, and only safe files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import yaml
from helpers.intel5300 import intel_record, random_csi, written
from helpers.tiny import environment, python, snapshot, wfm
from transformers import AutoModel

from foundation.checkpoints.load import load_encoder, provenance
from foundation.checkpoints.provenance import Record
from foundation.checkpoints.training import load_checkpoint
from foundation.cli import main
from foundation.data.shards.corpus import read_part
from foundation.data.shards.manifest import Manifest
from foundation.data.tokens import tokenize
from foundation.models import WfmForMaskedModeling, WfmModel
from foundation.results.rows import save_rows, summarise

if TYPE_CHECKING:
    from helpers.hub_server import Hub

REPO = "lab/tiny"
FILES = {"README.md", "config.json", "model.safetensors", "preprocessor_config.json", "pretraining.json"}
FILES |= {"content_hashes.safetensors"}


@pytest.fixture(scope="module")
def expected(trained: Path, shards_dir: Path) -> np.ndarray:
    """What the trained network itself says, straight from its training checkpoint."""
    encoder = load_encoder(trained / "checkpoints" / "final.ckpt")
    batch = tokenize(read_part(shards_dir, "room", "test")[:8], encoder.config)
    with torch.no_grad():
        return encoder(**batch).last_hidden_state.numpy()


def _features_in_a_fresh_process(
    source: object, shards: Path, out: Path, env: dict[str, str], options: str = ""
) -> np.ndarray:
    python(
        f"""
import foundation
from transformers import AutoModel
from pathlib import Path
import numpy as np, torch
from foundation.data.shards.corpus import read_part
model = AutoModel.from_pretrained({str(source)!r}{options})
batch = foundation.tokenize(read_part(Path({str(shards)!r}), "room", "test")[:8], model.config)
with torch.no_grad():
    np.save({str(out)!r}, model(**batch).last_hidden_state.numpy())
""",
        env=env,
    )
    return np.asarray(np.load(out))


def test_auto_model_reads_the_exported_folder_bit_for_bit(
    trained: Path, shards_dir: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    found = _features_in_a_fresh_process(trained / "model", shards_dir, tmp_path / "out.npy", environment())
    assert np.array_equal(found, expected)


def test_the_export_keeps_the_decoder_and_auto_model_takes_the_encoder(trained: Path) -> None:
    assert {path.name for path in (trained / "model").iterdir()} == FILES
    assert isinstance(AutoModel.from_pretrained(trained / "model"), WfmModel)
    weights = load_checkpoint(trained / "checkpoints" / "final.ckpt")[1]
    whole = WfmForMaskedModeling.from_pretrained(trained / "model").state_dict()
    assert all(torch.equal(whole[name], weights[name]) for name in weights)


def test_pretraining_record_names_the_sessions_that_were_seen(trained: Path, shards_dir: Path) -> None:
    record = provenance(trained / "model")
    assert record is not None
    (seen,) = record.datasets
    manifest = Manifest.load(shards_dir)
    assert seen.sessions == sorted(manifest.sessions("room", "train"))
    assert seen.fingerprint == manifest.fingerprint()


def test_pushed_and_loaded_over_http_bit_for_bit(
    hub: Hub, trained: Path, shards_dir: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    done = wfm("hub", "push", trained / "model", REPO, "--tag", "v1", env=hub.client_env(tmp_path / "writer"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().splitlines()[-1] == f"{hub.endpoint}/{REPO}/tree/v1"
    repo = hub.repos[REPO]
    files = repo.commits[repo.tags["v1"]]
    assert files.keys() - {".gitattributes"} == FILES
    weights = [name for name in files if not name.endswith((".json", ".md")) and name != ".gitattributes"]
    assert sorted(weights) == ["content_hashes.safetensors", "model.safetensors"]
    reader = hub.client_env(tmp_path / "reader", token=None)
    found = _features_in_a_fresh_process(REPO, shards_dir, tmp_path / "out.npy", reader, ', revision="v1"')
    assert np.array_equal(found, expected)
    code = f"from foundation.checkpoints.load import provenance; print(provenance({REPO!r}).model_dump_json())"
    record = Record.model_validate_json(python(code, env=reader))
    assert record == provenance(trained / "model"), "a leak must be seen from afar too"


def test_the_card_says_what_the_weights_have_seen(trained: Path, shards_dir: Path) -> None:
    text = (trained / "model" / "README.md").read_text()
    meta = yaml.safe_load(text.split("---")[1])
    assert meta["license"] == "apache-2.0"
    assert meta["datasets"] == ["simulated"]
    manifest = Manifest.load(shards_dir)
    assert manifest.licence in text
    assert f"| {manifest.summary.parts['room']['train']:,} |" in text, "samples of the training part, not of all"


def test_the_five_lines_on_the_card_run(trained: Path, tmp_path: Path) -> None:
    """With the names of the model and of a capture imputed in, as a reader of the card would."""
    found = re.search(r"```python\n(.*?)```", (trained / "model" / "README.md").read_text(), re.DOTALL)
    assert found is not None
    code = found.group(1)
    assert len(code.strip().splitlines()) == 5
    written(tmp_path / "capture.dat", *(intel_record(random_csi(i), 10_000 * i) for i in range(20)))
    imputed = code.replace('"ORG/tiny"', repr(str(trained / "model")))
    assert imputed != code
    shape = python(f"{imputed}\nprint(tuple(features.shape))", cwd=tmp_path)
    assert re.fullmatch(r"\(1, \d+, 32\)", shape.strip().splitlines()[-1])


def test_an_existing_folder_is_refused_and_left_alone(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(trained)
    assert main(["hub", "export", str(trained / "checkpoints" / "final.ckpt"), str(trained / "model")]) == 2
    assert "exists and is left alone" in capsys.readouterr().err
    assert snapshot(trained) == before


def test_export_puts_scores_on_the_card(trained: Path, tmp_path: Path) -> None:
    row = summarise(
        [0.71, 0.75],
        set="simulated",
        split="room",
        method="tiny",
        mode="probe",
        fraction=1.0,
        metric="accuracy",
        n=96,
        command="wfm evaluate --config tiny.yaml",
    )
    save_rows(tmp_path / "rows.json", [row])
    args = ("hub", "export", trained / "checkpoints" / "final.ckpt", tmp_path / "model")
    done = wfm(*args, "--rows", tmp_path / "rows.json")
    assert done.returncode == 0, done.stderr[-3000:]
    text = (tmp_path / "model" / "README.md").read_text()
    assert "73.0" in text
    assert "was not evaluated" not in text
