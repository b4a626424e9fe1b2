"""Simulated pretraining corpus of all kinds of signals; every session has its own room."""

from foundation.simulate.corpus.generate import corpus, corpus_splits

__all__ = ["corpus", "corpus_splits"]
