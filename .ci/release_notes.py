"""Print the section of one version from CHANGELOG.md: `python .ci/release_notes.py 0.1.0`.

Exits with a message where there is no such section, it is empty, or the package has another version.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def notes(changelog: str, version: str) -> str:
    """The text below `## [version]`, up to the next heading of that level.

    Raises:
        ValueError: there is no such section, or nothing in it.
    """
    heading = re.search(rf"^## \[{re.escape(version)}\].*$", changelog, re.MULTILINE)
    if heading is None:
        raise ValueError(f"CHANGELOG.md has no section [{version}]; rename [Unreleased] before tagging")
    rest = changelog[heading.end() :]
    following = re.search(r"^## ", rest, re.MULTILINE)
    text = rest[: following.start() if following else None].strip()
    if not text:
        raise ValueError(f"section [{version}] of CHANGELOG.md is empty")
    return text


def package_version(source: str) -> str:
    """`__version__` in the source of foundation/__init__.py."""
    found = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    if found is None:
        raise ValueError("foundation/__init__.py has no __version__")
    return found[1]


def main(version: str) -> None:
    own = package_version((ROOT / "foundation" / "__init__.py").read_text(encoding="utf-8"))
    if version != own:
        raise ValueError(f"the tag says {version}, foundation/__init__.py says {own}")
    print(notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ValueError, TypeError) as error:
        sys.exit(f"release_notes: {error}")
