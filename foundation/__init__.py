"""Pretrain one transformer encoder on any radio signal, then adapt it to any task with LoRA."""

__version__ = "0.1.0"
