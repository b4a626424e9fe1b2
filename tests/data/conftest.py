"""What the tests of the stream compare with, and the server that shards are fetched from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.servers import Server
from helpers.streams import CONFIG, rows_of

from foundation.data.shards.corpus import read_part
from foundation.data.tokens import tokenize


@pytest.fixture(scope="module")
def by_session(shards_dir: Path) -> dict[str, list[bytes]]:
    """Fingerprints of the samples of every session, read without the stream."""
    found: dict[str, list[bytes]] = {}
    for signal in read_part(shards_dir):
        found.setdefault(signal.session, []).extend(rows_of([(tokenize([signal], CONFIG), 0)]))
    return found


@pytest.fixture
def server(shards_dir: Path) -> Iterator[Server]:
    """The small shards over HTTP on loopback."""
    with Server(shards_dir) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
