"""Render an sbatch script from a template."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import ClusterError

TEMPLATES = Path(__file__).parent / "templates"


class _Template(string.Template):
    """Placeholders are {{name}}: a dollar belongs to the shell, percent and at signs to sbatch."""

    pattern = r"\{\{(?:(?P<named>[a-z]+)\}\}|(?P<invalid>))|(?P<escaped>(?!))|(?P<braced>(?!))"  # type: ignore[assignment]


@dataclass(frozen=True)
class Options:
    """Options of every job; None leaves one to the cluster.

    Attributes:
        time: limit as SLURM writes it, such as 12:00:00 or 2-00:00:00.
        cpus: per task.
        gpus: per node; None: as many as the command needs.
        memory: per node, such as 64G.
        extra: other options of sbatch, such as `qos=long`.
        logs: folder of the jobs' output.
    """

    account: str | None = None
    partition: str | None = None
    time: str = "12:00:00"
    cpus: int = 4
    gpus: int | None = None
    memory: str | None = None
    extra: tuple[str, ...] = ()
    logs: Path = Path("runs/slurm")

    def lines(self, gpus: int) -> list[str]:
        """Options that are no placeholders of a template, since they may be absent."""
        named = {
            "account": self.account,
            "partition": self.partition,
            "mem": self.memory,
            "gres": f"gpu:{gpus}" if gpus else None,
        }
        given = [f"{name}={value}" for name, value in named.items() if value is not None]
        return [*given, *(text.removeprefix("--") for text in self.extra)]


def render(template: Path, options: Options, gpus: int, values: dict[str, str]) -> str:
    """The template with every placeholder replaced by its value.

    Raises:
        ClusterError: the template does not exist or has an unknown placeholder, or an option holds white space.
    """
    try:
        text = template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ClusterError(
            f"{template}: no such template; those of the package are in {TEMPLATES}, --template names another."
        ) from None
    lines = options.lines(gpus)
    own = {"time": options.time, "cpus": str(options.cpus), "logs": str(options.logs.absolute())}
    for value in (*lines, *own.values()):
        if re.search(r"\s", value):
            raise ClusterError(f"{value!r} cannot be an option in an sbatch script; remove white space.")
    own["options"] = "\n".join(f"#SBATCH --{line}" for line in lines)
    try:
        return _Template(text).substitute(own, **values)
    except KeyError as error:
        raise ClusterError(f"{template}: unknown placeholder {{{{{error.args[0]}}}}}.") from None
    except ValueError as error:
        raise ClusterError(f"{template}: {str(error).lower()}; a placeholder is {{{{name}}}}.") from None
