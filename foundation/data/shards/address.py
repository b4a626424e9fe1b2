"""Addresses of shard directories: local paths, and URLs that fsspec reads. No address ever runs a command.

URLs are read by the fsspec implementation of their scheme alone; `::` chains are not parsed. Credentials are those of
the scheme's own tools: the AWS chain for s3 (with AWS_ENDPOINT_URL for other servers), Google's for gs, ~/.netrc for
http, or user and password in its address, which are left out of whatever is printed or written.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import fsspec

from foundation.config.address import local_path
from foundation.errors import MissingExtraError, ShardError
from foundation.redaction import LEFT_OUT, published

CONNECT_S, READ_S = 10, 60  # without an answer, or without a byte
LEAST_RATE = 20_000  # bytes per second over a whole file: a server that sends a byte a minute is as good as none
MOST_BYTES = 256 * 2**20  # of a manifest, which has some 300 bytes for a shard
_CHUNK = 2**20
#: Pauses in seconds before a failed http request is repeated; the libraries behind s3 and gs repeat by themselves.
PAUSES_S = (1.0, 2.0, 4.0, 8.0)
SCHEMES = ("file", "http", "https", "s3", "gs")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")  # RFC 3986


def is_url(address: str | Path) -> bool:
    """Whether an address is no local path (of known scheme or not): its shards are fetched, not mapped."""
    if isinstance(address, Path):
        return False
    address = local_path(address)
    # The name of a folder may have a colon; os.path takes what is too long for a path.
    return "://" in address or (_SCHEME.match(address) is not None and not os.path.exists(address))  # noqa: PTH110


def join(directory: str | Path, name: str) -> str:
    """The address of a file in a directory; the query of an http address (a signature) stays at its end."""
    if not is_url(directory) or not str(directory).startswith(("http:", "https:")):
        return f"{directory}/{name}"
    url = urlsplit(str(directory))
    return urlunsplit(url._replace(path=f"{url.path.rstrip('/')}/{name}"))


def fetch(url: str, size: int | None = None) -> bytes:
    """Everything behind a URL, by one request that is repeated where the server or the network fails.

    Args:
        size: bytes that are expected, from a manifest; None: a manifest itself, of any size up to `MOST_BYTES`.

    Raises:
        ShardError: the scheme is not one of `SCHEMES`, the URL cannot be read, or the server sends more than is
            expected or too slowly; without the credentials in it.
        MissingExtraError: the library for the scheme is not installed.
    """
    found = _SCHEME.match(url)
    scheme = found[1].lower() if found else ""
    if scheme not in SCHEMES[1:] or "://" not in url:
        shown = published(url) if "://" in url else f"{scheme}:..."  # what follows may be a command with a key in it
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise ShardError(f"{shown}: shards cannot be read from such an address; use a local path or one of {known}.")
    if LEFT_OUT in url:
        raise ShardError(
            f"{url}: its credentials were left out when it was written; put them into ~/.netrc, or give it again."
        )
    most = MOST_BYTES if size is None else size
    pauses = iter(PAUSES_S if scheme in ("http", "https") else ())
    while True:
        try:
            data = _download(scheme, scheme + url[len(scheme) :], most)
            break
        except ImportError:
            library = {"s3": "s3fs", "gs": "gcsfs"}.get(scheme, "aiohttp")
            raise MissingExtraError(f"{scheme}:// addresses need {library}; run 'pip install {library}'.") from None
        except Exception as error:  # each library has its own
            reason, is_transient = _reason(error)
            pause = next(pauses, None) if is_transient else None
            if pause is None:  # `from None`: a library's message may hold the whole address
                raise ShardError(f"{published(url)}: cannot be fetched ({reason}).") from None
        time.sleep(pause)
    if len(data) > most:
        raise ShardError(f"{published(url)}: is larger than the {most} bytes that are expected; upload it again.")
    return data


class _TooSlowError(Exception):
    pass


def _download(scheme: str, url: str, most: int) -> bytes:
    """At most one byte more than `most`, so that a server that never ends fills no memory.

    Raises:
        _TooSlowError: it sends less than `LEAST_RATE`.
    """
    file_system = fsspec.filesystem(scheme, **_options(scheme))
    if scheme in ("s3", "gs"):
        return bytes(file_system.cat_file(url, start=0, end=most + 1))
    deadline = time.monotonic() + READ_S + most / LEAST_RATE
    data = bytearray()
    with file_system.open(url, block_size=0, size=most) as stream:  # of any size, which spares asking for the size
        while len(data) <= most and (more := stream.read(min(_CHUNK, most + 1 - len(data)))):
            data += more
            if time.monotonic() > deadline:
                raise _TooSlowError
    return bytes(data)


def _options(scheme: str) -> dict[str, Any]:
    """Timeouts, as each library takes them."""
    if scheme == "s3":
        return {"config_kwargs": {"connect_timeout": CONNECT_S, "read_timeout": READ_S}}
    if scheme == "gs":
        return {"requests_timeout": READ_S}
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=READ_S)
    # Credentials from ~/.netrc; no compression, in which a few bytes may stand for gigabytes.
    return {"client_kwargs": {"timeout": timeout, "trust_env": True, "headers": {"Accept-Encoding": "identity"}}}


def _reason(error: Exception) -> tuple[str, bool]:
    """Why a request failed and what to do, and whether it may succeed when it is repeated."""
    status = getattr(error, "status", None)  # of aiohttp
    if isinstance(error, _TooSlowError):
        return f"it sends less than {LEAST_RATE} bytes per second; check the server and the network", False
    if isinstance(error, FileNotFoundError) or status == 410:
        return "it does not exist; check the address", False
    if isinstance(error, PermissionError) or status in (401, 403) or "Credentials" in type(error).__name__:
        return "access denied; check the credentials", False
    if isinstance(status, int):
        return f"HTTP status {status}; try again later or check the address", status == 429 or status >= 500
    if isinstance(error, TimeoutError):
        return f"no answer within {READ_S} s; check the network, then run it again", True
    if isinstance(error, ValueError):
        return "it is no valid address", False
    # Connections that are refused or break off: OSError of Python, or a class of the library's own.
    what = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return f"{what}; check the address and the network, then run it again", True
