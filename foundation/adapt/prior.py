"""What a stack may trust before it has seen a label: weights learned where domains are many.

Made by `python -m benchmarks.stack_prior` from training parts alone, of one fold of each task: where folds take turns,
what another fold tests was among them, and has a share in these forty numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

Candidate = tuple[str, str]  # pooling, name of a head, see `foundation.adapt.candidates`

#: In thousandths, by pooling and head.
SHARES: dict[str, dict[str, int]] = {
    "moments": {"kernel-weak": 30, "kernel": 10, "kernel-strong": 0, "linear": 12},
    "context": {"kernel-weak": 1, "kernel": 0, "kernel-strong": 0, "linear": 0},
    "columns": {"kernel-weak": 68, "kernel": 4, "kernel-strong": 5, "linear": 16},
    "timeline": {"kernel-weak": 0, "kernel": 23, "kernel-strong": 17, "linear": 1},
    "facts": {"kernel-weak": 19, "kernel": 46, "kernel-strong": 27, "linear": 13},
    "response": {"kernel-weak": 77, "kernel": 155, "kernel-strong": 29, "linear": 49},
    "invariant": {"kernel-weak": 76, "kernel": 50, "kernel-strong": 0, "linear": 6},
    "statistics": {"kernel-weak": 67, "kernel": 89, "kernel-strong": 0, "linear": 38},
    "doppler": {"kernel-weak": 4, "kernel": 17, "kernel-strong": 0, "linear": 27},
    "envelope": {"kernel-weak": 0, "kernel": 3, "kernel-strong": 35, "linear": 0},
}


def prior_shares(poolings: Sequence[str], heads: Sequence[str]) -> dict[Candidate, float]:
    """Weights with sum one of all pairs; a pooling that the table does not know counts as the mean of those in it."""
    mean = {head: sum(each.get(head, 0) for each in SHARES.values()) / max(1, len(SHARES)) for head in heads}
    shares = {(pooling, head): SHARES.get(pooling, mean).get(head, 0.0) for pooling in poolings for head in heads}
    total = sum(shares.values())
    return {each: share / total if total else 1 / len(shares) for each, share in shares.items()}
