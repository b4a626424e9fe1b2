"""Write the table of files per folder, before and after, into docs/research/folders.md.

python docs/hooks/folders.py --before 5c0d0b9 --after HEAD
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "research" / "folders.md"
TABLE = re.compile(r"(<!-- folders -->\n).*(<!-- /folders -->)", re.DOTALL)


def main() -> None:
    """Count the Python files of two commits and replace the table between the markers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default="5c0d0b9")
    parser.add_argument("--after", default="HEAD")
    args = parser.parse_args()
    text = table(lines_of(args.before), lines_of(args.after), args.before)
    PAGE.write_text(TABLE.sub(lambda match: match[1] + text + match[2], PAGE.read_text()))


def lines_of(commit: str) -> dict[Path, int]:
    """Python file -> number of lines, at a commit, without symbolic links."""
    listing = git("ls-tree", "-r", commit, "--", "foundation", "shards", "tests", "benchmarks", "examples").splitlines()
    files = [line.split("\t")[1] for line in listing if not line.startswith("120000") and line.endswith(".py")]
    return {Path(name): git("show", f"{commit}:{name}").count("\n") for name in files}


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def table(before: dict[Path, int], after: dict[Path, int], name: str) -> str:
    """Markdown: files per folder (with its subfolders apart), then totals and sizes."""
    folders = sorted({path.parent for path in (*before, *after)})
    counts = [[sum(path.parent == folder for path in files) for files in (before, after)] for folder in folders]
    rows = [[f"`{folder}`", *map(str, count)] for folder, count in zip(folders, counts, strict=True)]
    rows.append(["all files", str(len(before)), str(len(after))])
    for title, measure in (("median lines of a file", statistics.median), ("longest file, lines", max)):
        rows.append([title, *(f"{measure(files.values()):g}" for files in (before, after))])
    cells = [["folder", f"before (`{name}`)", "after"], ["---", "---:", "---:"], *rows]
    return "".join(f"| {' | '.join('' if cell == '0' else cell for cell in row)} |\n" for row in cells)


if __name__ == "__main__":
    main()
