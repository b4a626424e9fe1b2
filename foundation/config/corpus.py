"""Which samples of a shard directory are read."""

from __future__ import annotations

from pydantic import Field

from foundation.config.address import Address
from foundation.config.section import Section


class SamplesSection(Section):
    """Samples of one shard directory. `split` and `part` name sessions in the manifest; without both, all are read."""

    shards: Address = Field(description="shard directory, or its URL: file://, http://, https://, s3:// or gs://")
    split: str | None = Field(None, description="split of the manifest; null: all sessions")
    part: str | list[str] | None = Field(
        None, description="part or parts of the split, such as train; null: all sessions"
    )
    kinds: list[str] | None = Field(
        None, min_length=1, description="read only signals of these kinds, such as csi or radar; null: all"
    )
    sessions: int | None = Field(None, gt=0, description="read only the first N sessions; null: all")
    samples: int | None = Field(None, gt=0, description="read only N samples, equally many of every session; null: all")

    @property
    def is_subset(self) -> bool:
        """Whether less than the whole part is read."""
        return (self.kinds, self.sessions, self.samples) != (None, None, None)


class CorpusSection(SamplesSection):
    """Samples of one shard directory, as a part of a mixture."""

    weight: float = Field(1.0, gt=0, le=1e9, description="relative weight of this corpus in a mixture")
