"""JSON from outside: what `json.loads` accepts and nobody should."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from foundation import json_file
from foundation.files import read_regular
from foundation.json_file import load_json, parse_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested deeper"),
        ("[" * 65 + "]" * 65, "nested deeper than 64"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested deeper"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        ('{"a": NaN}', "NaN"),
        ("[-Infinity]", "Infinity"),
        ("[1e999]", "too large"),
        ("[" + "9" * 400 + ".5]", "too large"),
        ("[" + "9" * 5000 + "]", "digits"),
        (r'["\ud800"]', "half of a surrogate pair"),
        (r'{"\udfff": 1}', "half of a surrogate pair"),
        (b"\xff\xfe{", "utf-8"),
        (b"", "Expecting value"),
        ("{} {}", "Extra data"),
    ],
)
def test_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)


@pytest.mark.parametrize("value", [None, [], {"a": [1, 2.5e10, "\u00e4 \U0001f600 [[["]}, [[[[["x"] * 200]]]], -1e-300])
def test_what_is_json_is_read(value: object) -> None:
    for data in (json.dumps(value), json.dumps(value).encode(), b"\xef\xbb\xbf" + json.dumps(value).encode()):
        assert parse_json(data) == value
    assert parse_json(memoryview(json.dumps(value, ensure_ascii=False).encode())) == value


def test_nan_of_python_is_read_where_it_is_asked_for() -> None:
    assert str(parse_json("[NaN]", finite=False)) == "[nan]"
    with pytest.raises(ValueError, match="twice"):
        parse_json('{"a":1,"a":1}', finite=False)


def test_a_file_is_bounded_and_regular(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1]")
    assert load_json(path) == [1]
    monkeypatch.setattr(json_file, "MOST_BYTES", 10)
    path.write_text("[1, 2, 3, 4, 5]")
    with pytest.raises(ValueError, match="it has 11 bytes; expected 10 at most"):
        load_json(path)
    os.mkfifo(tmp_path / "pipe")
    for what in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            load_json(what)
    assert read_regular(path, 4) == b"[1, "
