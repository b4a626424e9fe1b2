"""Model card: the README.md of an export, with YAML front matter for the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import yaml

from foundation.checkpoints.provenance import Seen
from foundation.errors import CheckpointError
from foundation.files import write_atomically
from foundation.results.rows import Row
from foundation.results.tables import markdown

TAGS = ("wireless", "radio", "foundation-model", "masked-modeling")


@dataclass(frozen=True)
class CardFacts:
    """Content of a card that depends on the model.

    Attributes:
        repo_id: 'organisation/name' on the Hub; the usage example loads it.
        parameters: number of weights.
        kinds: kinds of signal in the training data, see `foundation.signal.KINDS`.
        data: data sets of training.
        rows: scores; if empty, the card says that the model was not evaluated.
        limits: limitations of this model, besides those of every model of this library.
        licence: of the weights, as a Hub identifier in lower case.
    """

    repo_id: str
    parameters: int
    kinds: Sequence[str]
    data: Sequence[Seen]
    rows: Sequence[Row] = ()
    limits: Sequence[str] = ()
    licence: str = "apache-2.0"


def write_card(folder: Path, facts: CardFacts) -> Path:
    """Write the card of the export in `folder` and return its path.

    Raises:
        CheckpointError: the folder is missing, or already has a card, which may have been edited.
    """
    path = folder / "README.md"
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; the card belongs beside the exported weights.")
    if path.exists():
        raise CheckpointError(f"{path}: there is a card already; move it away to have it written again.")
    write_atomically(path, card_text(facts))
    return path


def model_name(name: str) -> str:
    """The name of a run as the Hub allows it: letters, digits, '-', '_' and '.'; it becomes code in the card."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:90] or "model"


def card_text(facts: CardFacts) -> str:
    """The card as Markdown with YAML front matter; text from records of data sets stays text.

    Raises:
        CheckpointError: the repository's name is none that the Hub allows.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", facts.repo_id, re.ASCII):
        raise CheckpointError(f"{facts.repo_id[:100]!r}: no name of a repository; expected 'organisation/name'.")
    meta = {
        "license": facts.licence,
        "library_name": "transformers",
        "pipeline_tag": "feature-extraction",
        "tags": [*TAGS, *facts.kinds],
        "datasets": list(dict.fromkeys(data.name for data in facts.data)),
    }
    sections = {
        "Use": _USE.replace("ORG/NAME", facts.repo_id),
        "Data seen in training": _data(facts.data),
        "Scores": markdown(facts.rows) if facts.rows else "This model was not evaluated.",
        "Limits": "\n".join(f"- {limit}" for limit in (*facts.limits, *_LIMITS)),
        "Citation": _citation(facts),
    }
    what = _WHAT.format(count=facts.parameters, kinds=", ".join(map(_text, facts.kinds)))
    head = f"# {facts.repo_id.split('/')[-1]}\n\n{what}"
    body = "\n\n".join([head, *(f"## {title}\n\n{text.strip()}" for title, text in sections.items())])
    return f"---\n{yaml.safe_dump(meta, sort_keys=False, allow_unicode=True)}---\n\n{body}\n"


_WHAT = """\
A transformer encoder for radio signals with {count:,} parameters, pretrained by masked prediction on measurements of
these kinds: {kinds}. A signal is a complex field over (time, link, frequency), and positions are physical (seconds,
hertz), so that one model reads recordings of different rates, bandwidths and antenna counts. Adapt it to a task with
a LoRA adapter and a head, to a place with an adapter trained without labels."""

_USE = """\
```python
import foundation
from transformers import AutoModel
model = AutoModel.from_pretrained("ORG/NAME")
batch = foundation.tokenize(foundation.read("capture.dat"), model.config)
features = model(**batch).last_hidden_state
```

`import foundation` registers the model with transformers; no code from this repository is run. Without it, transformers
reports an unknown model type `wfm`. `AutoFeatureExtractor.from_pretrained("ORG/NAME")` tokenises signals, too;
`pipeline("feature-extraction")` does not: it takes text alone."""

_LIMITS = (
    "Devices, bands, rooms and activities that are not in the data above are outside what was tested: evaluate on your "
    "own recordings, split by session, before you rely on it.",
    "Wi-Fi and radar signals tell about people who did not consent to be observed; where you deploy this, the law on "
    "personal data applies.",
    "It is not fit for decisions on safety, health or security.",
)


def _data(data: Sequence[Seen]) -> str:
    def title(seen: Seen) -> str:
        shown, address = _text(seen.title or seen.name), _address(seen.homepage)
        return f"[{shown}]({address})" if address else shown

    def samples(seen: Seen) -> str:
        return "" if seen.samples is None else f"{seen.samples:,}"

    rows = [f"| {title(seen)} | `{_code(seen.name)}` | {samples(seen)} | {_text(seen.licence)} |" for seen in data]
    return "\n".join(["| data set | name | samples | licence |", "|---|---|---:|---|", *rows])


def _line(text: str) -> str:
    """One line without control characters, such as those that terminals obey."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def _text(text: str) -> str:
    """Text that neither Markdown nor HTML takes for a link, an image, a tag or the end of a table's cell."""
    return re.sub(r"([\\`|<>\[\]])", r"\\\1", _line(text))


def _code(text: str) -> str:
    """Text between backticks in a table, where there are no escapes but that of the cell's end."""
    return _line(text).replace("`", "'").replace("|", "\\|")


def _address(url: str) -> str:
    """A link to a page of the web; empty for every other kind of address, such as javascript:."""
    return quote(_line(url), safe=":/?#@!$&'*+,;=%~") if re.match(r"https?://", url) else ""


def _citation(facts: CardFacts) -> str:
    sources = "\n".join(dict.fromkeys(f"- {_text(seen.citation)}" for seen in facts.data if seen.citation))
    return f"{_BIBTEX}\n\nThe data sets are the work of others; cite them too:\n\n{sources}"


_BIBTEX = """\
```bibtex
@software{foundation,
  title = {foundation: one pretrained transformer encoder for any radio signal},
  author = {{The foundation contributors}},
  license = {Apache-2.0}
}
```"""
