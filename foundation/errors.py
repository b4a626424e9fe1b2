"""Errors that a user can cause, each one sentence: what, where, what was expected, what to do.

The command line prints the sentence and exits with status 2; a traceback indicates a defect of this project.
"""

from foundation.redaction import published


class WfmError(Exception):
    """Base of all errors that user input can cause. Its message never holds the credentials of an address."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*map(published, parts))


class SignalError(WfmError):
    """A Signal with inconsistent fields."""


class ReadError(WfmError):
    """A capture or data file that is missing, empty, truncated, malformed or of an unknown format."""


class ShardError(WfmError):
    """A shard directory that is missing, corrupt or inconsistent."""


class RecipeError(WfmError):
    """A recipe with an unknown key, a wrong type or inconsistent values."""


class CheckpointError(WfmError):
    """A checkpoint, adapter or export that does not match the requested model or task."""


class TrainingError(WfmError):
    """A training run that must stop, such as one with a non-finite loss."""


class StoppedError(WfmError):
    """Training was stopped by a signal; its checkpoint is saved.

    Attributes:
        signal: number of the signal.
        status: exit status of the command: 128 + signal; 0 where SLURM has the job in its queue again.
    """

    def __init__(self, message: str, signal: int, requeued: bool = False) -> None:
        super().__init__(message)
        self.signal = signal
        self.status = 0 if requeued else 128 + signal


class MissingExtraError(WfmError):
    """An optional dependency that is not installed; names the extra that installs it."""


class ClusterError(WfmError):
    """A cluster job that cannot be described, submitted, shown or cancelled."""
