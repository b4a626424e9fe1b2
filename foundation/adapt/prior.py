"""What a stack may trust before it has seen a label: weights learned where domains are many.

Made by `python -m benchmarks.stack_prior` from training parts alone.
"""

from __future__ import annotations

from collections.abc import Sequence

Candidate = tuple[str, str]  # pooling, name of a head, see `foundation.adapt.candidates`

#: In thousandths, by pooling and head.
SHARES: dict[str, dict[str, int]] = {
    "moments": {"kernel-weak": 6, "kernel": 47, "kernel-strong": 16, "linear": 6},
    "context": {"kernel-weak": 25, "kernel": 10, "kernel-strong": 6, "linear": 5},
    "columns": {"kernel-weak": 31, "kernel": 0, "kernel-strong": 54, "linear": 72},
    "timeline": {"kernel-weak": 14, "kernel": 22, "kernel-strong": 28, "linear": 9},
    "response": {"kernel-weak": 115, "kernel": 150, "kernel-strong": 2, "linear": 8},
    "invariant": {"kernel-weak": 43, "kernel": 58, "kernel-strong": 2, "linear": 5},
    "statistics": {"kernel-weak": 75, "kernel": 79, "kernel-strong": 17, "linear": 36},
    "doppler": {"kernel-weak": 7, "kernel": 11, "kernel-strong": 0, "linear": 34},
    "envelope": {"kernel-weak": 1, "kernel": 0, "kernel-strong": 37, "linear": 0},
}


def prior_shares(poolings: Sequence[str], heads: Sequence[str]) -> dict[Candidate, float]:
    """Weights with sum one of all pairs; a pooling that the table does not know counts as the mean of those in it."""
    mean = {head: sum(each.get(head, 0) for each in SHARES.values()) / max(1, len(SHARES)) for head in heads}
    shares = {(pooling, head): SHARES.get(pooling, mean).get(head, 0.0) for pooling in poolings for head in heads}
    total = sum(shares.values())
    return {each: share / total if total else 1 / len(shares) for each, share in shares.items()}
