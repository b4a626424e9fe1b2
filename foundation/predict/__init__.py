"""A fitted model that answers: recordings of any length in, labels with probabilities out; features of any signal."""

from foundation.predict.model import Model, load
from foundation.predict.prediction import NONE, Neighbour, Prediction

__all__ = ["NONE", "Model", "Neighbour", "Prediction", "load"]
