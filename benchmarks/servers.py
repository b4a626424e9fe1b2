"""Servers on loopback that hold a folder: plain HTTP, and S3 (moto's server mode). Each is a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

START_S = 60


@contextmanager
def http_server(folder: Path) -> Iterator[str]:
    """Serve a folder; yields its address."""
    with _server("http.server", "--bind", "127.0.0.1", "--directory", str(folder)) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def s3_server(folder: Path, bucket: str = "shards") -> Iterator[str]:
    """Serve the files of a folder as a bucket; yields its address, which this process and its children can open."""
    with _server("moto.server", "-H", "127.0.0.1", "-p") as port:
        settings = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        with patch.dict(os.environ, settings):
            import boto3

            client = boto3.client("s3")
            client.create_bucket(Bucket=bucket)
            for path in folder.iterdir():
                client.put_object(Bucket=bucket, Key=f"set/{path.name}", Body=path.read_bytes())
            yield f"s3://{bucket}/set"


@contextmanager
def _server(module: str, *arguments: str) -> Iterator[int]:
    """Run `python -m module ... PORT` on a free port until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(process, port)
        yield int(port)
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(10 * START_S):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not answer within {START_S} s")
