"""Address of a shard directory in a recipe: a local path or a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import BeforeValidator, PlainSerializer

from foundation.config.values import expanded
from foundation.redaction import published


def local_path(address: str) -> str:
    """The path that a file:// URL names; every other address unchanged."""
    url = urlsplit(address) if address.startswith("file://") else None
    return url2pathname(url.path) if url is not None and url.netloc in ("", "localhost") else address


def _address(value: Any) -> Any:
    """Code may give a Path where a recipe holds text."""
    return str(expanded(local_path(str(value)))) if isinstance(value, str | Path) else value


#: A recipe that is dumped (into its run, a log, a checkpoint, a report) has no credentials in its addresses.
Address = Annotated[str, BeforeValidator(_address), PlainSerializer(published)]
