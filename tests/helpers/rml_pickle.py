"""Pickles of RadioML, as Python 2 wrote them."""

from __future__ import annotations

import numpy as np


def examples(seed: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.01, (count, 2, 128)).astype(np.float32)


DATA = {("QPSK", 2): examples(0), ("AM-DSB", -20): examples(1, 2), ("8PSK", 18): examples(2, 1)}


def python2_pickle(data: dict[tuple[str, int], np.ndarray]) -> bytes:
    """What cPickle.dump of Python 2 writes, as the files of 2016 were: protocol 0, bytes as text with escapes."""
    out, memo = b"(dp1\n", 2
    for (modulation, snr), array in data.items():
        shape = b"".join(b"I%d\n" % length for length in array.shape)
        content = repr(array.tobytes())[1:].encode("ascii")
        out += b"(S'%s'\np%d\nI%d\ntp%d\n" % (modulation.encode(), memo, snr, memo + 1)
        out += b"cnumpy.core.multiarray\n_reconstruct\np%d\n(cnumpy\nndarray\np%d\n" % (memo + 2, memo + 3)
        out += b"(I0\ntS'b'\ntRp%d\n(I1\n(%stcnumpy\ndtype\np%d\n(S'f4'\nI0\nI1\ntRp%d\n" % (
            memo + 4,
            shape,
            memo + 5,
            memo + 6,
        )
        out += b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS%s\np%d\ntbs" % (content, memo + 7)
        memo += 8
    return out + b"."
