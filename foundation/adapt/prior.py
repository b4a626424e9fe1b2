"""What a stack may trust before it has seen a label: weights learned where domains are many.

Made by `python -m benchmarks.stack_prior` from training parts alone.
"""

from __future__ import annotations

from collections.abc import Sequence

Candidate = tuple[str, str]  # pooling, name of a head, see `foundation.adapt.candidates`

#: In thousandths, by pooling and head.
SHARES: dict[str, dict[str, int]] = {
    "moments": {"kernel-weak": 7, "kernel": 45, "kernel-strong": 15, "linear": 8},
    "context": {"kernel-weak": 28, "kernel": 10, "kernel-strong": 2, "linear": 6},
    "columns": {"kernel-weak": 30, "kernel": 0, "kernel-strong": 48, "linear": 78},
    "timeline": {"kernel-weak": 15, "kernel": 25, "kernel-strong": 23, "linear": 9},
    "response": {"kernel-weak": 123, "kernel": 141, "kernel-strong": 6, "linear": 10},
    "invariant": {"kernel-weak": 51, "kernel": 47, "kernel-strong": 0, "linear": 8},
    "statistics": {"kernel-weak": 80, "kernel": 73, "kernel-strong": 17, "linear": 38},
    "doppler": {"kernel-weak": 6, "kernel": 12, "kernel-strong": 0, "linear": 31},
    "envelope": {"kernel-weak": 1, "kernel": 3, "kernel-strong": 38, "linear": 0},
}


def prior_shares(poolings: Sequence[str], heads: Sequence[str]) -> dict[Candidate, float]:
    """Weights with sum one of all pairs; a pooling that the table does not know counts as the mean of those in it."""
    mean = {head: sum(each.get(head, 0) for each in SHARES.values()) / max(1, len(SHARES)) for head in heads}
    shares = {(pooling, head): SHARES.get(pooling, mean).get(head, 0.0) for pooling in poolings for head in heads}
    total = sum(shares.values())
    return {each: share / total if total else 1 / len(shares) for each, share in shares.items()}
