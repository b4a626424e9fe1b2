"""Loggers: W&B without a key, and no secrets in files."""

from __future__ import annotations

from pathlib import Path

from helpers.tiny import environment, pretrain_recipe, wfm, write_recipe


def test_wandb_without_a_key_logs_offline_and_keeps_no_secret(shards_dir: Path, tmp_path: Path) -> None:
    secret = "standInSecretThatMustNotBeWritten"
    config = write_recipe(tmp_path / "tiny.yaml", pretrain_recipe(shards_dir, tmp_path / "run", steps=3))
    done = wfm("pretrain", "--config", config, "logger=wandb", env=environment(HF_TOKEN=secret, MY_API_KEY=secret))
    assert done.returncode == 0, done.stderr[-3000:]
    runs = list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(runs) == 1
    assert b"samples_per_s" in runs[0].read_bytes()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
