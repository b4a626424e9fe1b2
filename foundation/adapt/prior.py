"""What a stack may trust before it has seen a label: weights learned where domains are many.

Made by `python -m benchmarks.stack_prior` from training parts alone.
"""

from __future__ import annotations

from collections.abc import Sequence

Candidate = tuple[str, str]  # pooling, name of a head, see `foundation.adapt.candidates`

#: In thousandths, by pooling and head.
SHARES: dict[str, dict[str, int]] = {}


def prior_shares(poolings: Sequence[str], heads: Sequence[str]) -> dict[Candidate, float]:
    """Weights with sum one of all pairs; a pooling that the table does not know counts as the mean of those in it."""
    mean = {head: sum(each.get(head, 0) for each in SHARES.values()) / max(1, len(SHARES)) for head in heads}
    shares = {(pooling, head): SHARES.get(pooling, mean).get(head, 0.0) for pooling in poolings for head in heads}
    total = sum(shares.values())
    return {each: share / total if total else 1 / len(shares) for each, share in shares.items()}
