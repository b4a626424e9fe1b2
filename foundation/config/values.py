"""Values that several sections of recipes have, with bounds: an absurd number ends in a sentence, not in a crash.

The upper bounds are far above what any machine can do; they are there against a slipped digit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

#: A name in messages, tables, file names and model cards.
Name = Annotated[
    str,
    Field(min_length=1, max_length=100, pattern=r"^\w[\w .,:+()@%=~-]*$"),
]
Steps = Annotated[int, Field(gt=0, le=10**9)]
Batch = Annotated[int, Field(gt=0, le=10**6)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(gt=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=100)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Width = Annotated[int, Field(gt=0, le=2**17)]
Depth = Annotated[int, Field(gt=0, le=4096)]
Processes = Annotated[int, Field(ge=0, le=4096)]
Threads = Annotated[int, Field(gt=0, le=4096)]
#: What `foundation.machine.device_of` understands.
Device = Annotated[str, Field(pattern=r"^(auto|cpu|gpu|cuda(:\d{1,3})?|mps)$")]
Nepers = Annotated[float, Field(ge=0, le=10)]


def expanded(value: Any) -> Any:
    """A path as the user means it: `~` is the home folder, in every key that holds a path.

    Raises:
        ValueError: it is empty, holds a character that no path can hold, or names the home of nobody.
    """
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    if not text or "\0" in text:
        raise ValueError("expected a path")
    try:
        return Path(text).expanduser() if text.startswith("~") else text
    except RuntimeError:
        raise ValueError("there is no such home folder") from None


FilePath = Annotated[Path, BeforeValidator(expanded)]
