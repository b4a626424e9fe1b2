"""What a stack may trust before it has seen a label: weights learned where domains are many.

Made by `python -m benchmarks.stack_prior` from training parts alone.
"""

from __future__ import annotations

from collections.abc import Sequence

Candidate = tuple[str, str]  # pooling, name of a head, see `foundation.adapt.candidates`

#: In thousandths, by pooling and head.
SHARES: dict[str, dict[str, int]] = {
    "moments": {"kernel-weak": 15, "kernel": 48, "kernel-strong": 12, "linear": 2},
    "context": {"kernel-weak": 31, "kernel": 8, "kernel-strong": 35, "linear": 7},
    "columns": {"kernel-weak": 35, "kernel": 11, "kernel-strong": 67, "linear": 103},
    "timeline": {"kernel-weak": 37, "kernel": 32, "kernel-strong": 47, "linear": 0},
    "response": {"kernel-weak": 114, "kernel": 150, "kernel-strong": 2, "linear": 8},
    "invariant": {"kernel-weak": 47, "kernel": 58, "kernel-strong": 2, "linear": 5},
    "statistics": {"kernel-weak": 76, "kernel": 79, "kernel-strong": 17, "linear": 35},
    "doppler": {"kernel-weak": 9, "kernel": 10, "kernel-strong": 0, "linear": 29},
    "envelope": {"kernel-weak": 2, "kernel": 2, "kernel-strong": 22, "linear": 0},
}


def prior_shares(poolings: Sequence[str], heads: Sequence[str]) -> dict[Candidate, float]:
    """Weights with sum one of all pairs; a pooling that the table does not know counts as the mean of those in it."""
    mean = {head: sum(each.get(head, 0) for each in SHARES.values()) / max(1, len(SHARES)) for head in heads}
    shares = {(pooling, head): SHARES.get(pooling, mean).get(head, 0.0) for pooling in poolings for head in heads}
    total = sum(shares.values())
    return {each: share / total if total else 1 / len(shares) for each, share in shares.items()}
