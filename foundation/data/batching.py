"""Where one batch ends and the next begins, in the one order of samples that all ranks and workers share.

A batch ends at so many samples or at so many tokens, whichever comes first. Every process cuts for itself: it needs the
lengths of the samples, which stand in the headers of their arrays, and nothing of what the others do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from foundation.errors import ShardError


def cut(
    position: int, world: int, samples: int, tokens: int | None, length: Callable[[int], int]
) -> Iterator[list[range]]:
    """For every step, the positions of each rank's batch: ranges that follow each other without a gap.

    Args:
        position: where the first step begins.
        samples: the most samples of a batch.
        tokens: the most tokens of a batch; None for no limit.
        length: tokens of the sample at a position; asked only where there is a limit.

    Raises:
        ShardError: one sample alone is longer than the limit.
    """
    while True:
        step = []
        for _ in range(world):
            end = position + samples if tokens is None else _full(position, samples, tokens, length)
            step.append(range(position, end))
            position = end
        yield step


def _full(first: int, samples: int, tokens: int, length: Callable[[int], int]) -> int:
    """Where a batch that begins at `first` ends."""
    left = tokens
    for position in range(first, first + samples):
        left -= length(position)
        if left < 0:
            if position == first:
                raise ShardError(
                    f"the sample at position {position} of the stream has {tokens - left} tokens, more than "
                    f"train.batch_tokens={tokens}; raise it, use larger patches, or cut the recordings shorter."
                )
            return position
    return first + samples
