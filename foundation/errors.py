"""The errors a user can cause, each one sentence: what, where, what was expected, what to do.

The command line prints the sentence and exits with status 2; a traceback is for our own mistakes.
"""


class WfmError(Exception):
    """Base of every error that a user's input can cause."""


class SignalError(WfmError):
    """A Signal whose fields contradict each other."""


class ReadError(WfmError):
    """A capture or data file that is empty, truncated or not what it claims to be."""


class ShardError(WfmError):
    """A shard directory that is missing, damaged or inconsistent."""


class RecipeError(WfmError):
    """A recipe with an unknown key, a wrong type or a contradiction."""


class CheckpointError(WfmError):
    """A checkpoint, adapter or export that does not fit what is asked of it."""


class TrainingError(WfmError):
    """A training run that must not go on, such as one with a non-finite loss."""


class MissingExtraError(WfmError):
    """An optional dependency that is not installed; names the extra that brings it."""


class ClusterError(WfmError):
    """A job that cannot be described, submitted, shown or cancelled."""
