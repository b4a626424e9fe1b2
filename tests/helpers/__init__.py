"""What tests share: signals, tiny shards and runs, a Hub server and a SLURM cluster on this machine."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
