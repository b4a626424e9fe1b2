"""One simulated corpus of every kind of signal, for pretraining: each session is a room of its own."""

from foundation.simulate.corpus.generate import corpus, corpus_splits

__all__ = ["corpus", "corpus_splits"]
