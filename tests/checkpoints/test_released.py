"""The released encoder: loads by name, reads every kind of signal, and has a provenance record."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
import torch

from foundation.checkpoints.load import content_hashes, load_encoder, load_masked, provenance
from foundation.data.tokens import tokenize
from foundation.errors import CheckpointError
from foundation.models import pool
from foundation.released import FOLDER, released
from foundation.signal import KINDS, Signal
from foundation.simulate.corpus import corpus


def _one_of_each_kind() -> list[Signal]:
    found: dict[str, Signal] = {}
    for signal in itertools.islice(corpus(400, seed=9), 0, None, 4):
        found.setdefault(signal.kind, signal)
    return [found[kind] for kind in KINDS]


def test_it_loads_by_name_and_reads_every_kind_in_one_batch() -> None:
    assert released() == ["wfm-small"]
    encoder = load_encoder("wfm-small")
    batch = tokenize(_one_of_each_kind(), encoder.config)
    with torch.no_grad():
        features = pool(encoder, encoder(**batch), batch, "moments")
    assert features.shape == (len(KINDS), 6 * encoder.config.hidden_size)
    assert bool(torch.isfinite(features).all())


def test_it_is_small_enough_to_live_with_the_code() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 20e6


def test_it_tells_what_it_was_pretrained_on() -> None:
    record = provenance("wfm-small")
    assert record is not None
    seen = {entry.name: entry for entry in record.datasets}
    assert "simulated-corpus" in seen
    assert "stability-csi-har" in seen
    assert not {"radhar", "uwb-cirs-2018"} & set(seen), "every recording of these is tested by some fold"
    assert not any(session.startswith(("D2", "D3", "D4")) for session in seen["stability-csi-har"].sessions)
    hashes = content_hashes("wfm-small")
    assert hashes is not None
    assert len(hashes) > 20_000


def test_its_decoder_comes_along() -> None:
    model = load_masked("wfm-small")
    assert model.encoder.state_dict().keys() == load_encoder("wfm-small").state_dict().keys()


def test_a_folder_of_ones_own_has_precedence_and_an_unknown_name_lists_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"wfm-tiny: no such folder; .*comes with the package: wfm-small"):
        load_encoder("wfm-tiny")
    shutil.copytree(FOLDER / "wfm-small", tmp_path / "wfm-small")
    (tmp_path / "wfm-small" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"wfm-small/model\.safetensors: cannot be read"):
        load_encoder("wfm-small")
