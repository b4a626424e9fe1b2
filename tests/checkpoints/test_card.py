"""The model card: front matter for the Hub, data sets with licences and citations, scores."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from foundation.checkpoints.card import CardFacts, model_name, write_card
from foundation.checkpoints.provenance import Seen
from foundation.errors import CheckpointError
from foundation.results.rows import summarise

HOW = {"fingerprint": "0", "split": "day", "part": "train", "sessions": ["a"]}
POLYU = Seen(
    name="polyu-csi-ips",
    title="PolyU | CSI",
    licence="MIT",
    citation="A. Author: A data set.\nJournal, 2023",
    homepage="https://example.org/a",
    samples=1000,
    **HOW,
)
UWB = Seen(
    name="uwb-cirs-2018",
    title="UWB impulse responses",
    licence="CC-BY-4.0",
    citation="B. Author, 2018",
    homepage="https://example.org/b",
    samples=21_600,
    **HOW,
)
ROW = summarise(
    [0.7, 0.8, 0.9],
    set="polyu-csi-ips",
    split="C",
    method="wfm",
    mode="lora",
    fraction=1.0,
    metric="accuracy",
    n=64,
    command="wfm evaluate",
)
FACTS = CardFacts(
    repo_id="lab/wfm-small",
    parameters=1_234_567,
    kinds=("csi", "cir"),
    data=(POLYU, UWB),
    rows=(ROW,),
    limits=("Seen at 5 GHz only.",),
)


def load(folder: Path, facts: CardFacts) -> ModelCard:
    card: ModelCard = ModelCard.load(write_card(folder, facts))
    return card


def test_a_set_of_which_two_versions_were_read_is_tagged_and_cited_once(tmp_path: Path) -> None:
    again = POLYU.model_copy(update={"fingerprint": "1", "samples": 2000})
    card = load(tmp_path, replace(FACTS, data=(POLYU, UWB, again)))
    assert card.data.to_dict()["datasets"] == ["polyu-csi-ips", "uwb-cirs-2018"]
    assert card.text.count("A. Author") == 1
    assert "| 1,000 |" in card.text and "| 2,000 |" in card.text


def test_the_front_matter_is_what_a_hub_indexes(tmp_path: Path) -> None:
    meta = load(tmp_path, FACTS).data.to_dict()
    assert meta["license"] == "apache-2.0"
    assert meta["library_name"] == "transformers"
    assert meta["pipeline_tag"] == "feature-extraction"
    assert meta["datasets"] == ["polyu-csi-ips", "uwb-cirs-2018"]
    assert {"wireless", "csi", "cir"} <= set(meta["tags"])


def test_every_data_set_stands_with_its_licence_and_citation(tmp_path: Path) -> None:
    text = load(tmp_path, FACTS).text
    assert "| [PolyU \\| CSI](https://example.org/a) | `polyu-csi-ips` | 1,000 | MIT |" in text
    assert "| [UWB impulse responses](https://example.org/b) | `uwb-cirs-2018` | 21,600 | CC-BY-4.0 |" in text
    assert "- A. Author: A data set. Journal, 2023\n- B. Author, 2018" in text


def test_scores_limits_and_size_are_in_the_card(tmp_path: Path) -> None:
    text = load(tmp_path, FACTS).text
    assert re.search(r"\| wfm \| lora \| 80\.0 \[55\.2, 100\.0\] \|", text)
    assert "- Seen at 5 GHz only.\n" in text
    assert "1,234,567 parameters" in text
    (tmp_path / "README.md").unlink()
    assert "This model was not evaluated." in load(tmp_path, replace(FACTS, rows=())).text


def test_the_example_is_five_lines_of_python_that_load_this_model(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", load(tmp_path, FACTS).text, re.DOTALL)
    compile(example, "card", "exec")
    assert len(example.splitlines()) == 5
    assert 'AutoModel.from_pretrained("lab/wfm-small")' in example


def test_text_from_a_manifest_cannot_break_the_front_matter(tmp_path: Path) -> None:
    odd = POLYU.model_copy(update={"name": "a: [b\n---\nlicense: other"})
    meta = load(tmp_path, replace(FACTS, data=(odd,))).data.to_dict()
    assert meta["datasets"] == ["a: [b\n---\nlicense: other"]
    assert meta["license"] == "apache-2.0"


def test_a_card_is_never_overwritten(tmp_path: Path) -> None:
    path = write_card(tmp_path, FACTS)
    path.write_text("edited by hand")
    with pytest.raises(CheckpointError, match="there is a card already"):
        write_card(tmp_path, FACTS)
    assert path.read_text() == "edited by hand"
    assert [entry.name for entry in tmp_path.iterdir()] == ["README.md"]
    with pytest.raises(CheckpointError, match="no such folder"):
        write_card(tmp_path / "absent", FACTS)


def test_names_and_records_stay_text(tmp_path: Path) -> None:
    assert model_name('x")\nimport os; os.system("id") #') == "x-import-os-os.system-id"
    assert model_name("../..") == "model"
    with pytest.raises(CheckpointError, match="no name of a repository"):
        write_card(tmp_path, replace(FACTS, repo_id='lab/x")\nimport os'))
    hostile = "[x](javascript:alert(1)) <script>alert(1)</script> ![](https://e.example/p) `a` \x1b[31mred"
    seen = POLYU.model_copy(
        update={"title": hostile, "licence": hostile, "citation": hostile, "homepage": "javascript:alert(1)"}
    )
    named = UWB.model_copy(update={"name": hostile, "homepage": "https://example.org/a b)<script>"})
    text = load(tmp_path, replace(FACTS, data=(seen, named), kinds=(hostile,))).text
    body = text.split("## Data seen", 1)[1].replace("\\<", "").replace("\\[", "").replace("\\]", "")
    outside_code = re.sub(r"`\[x\][^\n|]*?`", "", body)
    assert "<script" not in outside_code
    assert "](javascript" not in outside_code
    assert "\x1b" not in text
    assert "](https://example.org/a%20b%29%3Cscript%3E)" in text
