"""An adapter that was pushed and pulled by org/name answers as before: a stand-in Hub, the real client."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.tiny import python

if TYPE_CHECKING:
    from helpers.hub_server import Hub


def test_a_pulled_adapter_gives_the_same_answers(hub: Hub, activity: Path, shards_dir: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(activity, tmp_path / "adapter"))
    env = hub.client_env(tmp_path / "home") | {"OMP_NUM_THREADS": "1"}
    ask = f"""
import foundation
from foundation.data.shards.corpus import read_part
signals = read_part({str(shards_dir)!r}, "room", "test")[:6]
for one in foundation.load(adapter=NAME).predict(signals):
    print(repr((one.label, one.probability, one.distance, one.outside)))
"""
    push = f"""
from pathlib import Path
from foundation.checkpoints.push import push
push(Path({str(folder)!r}), "lab/act")
"""
    before = python(f"NAME = {str(folder)!r}{ask}", env)
    python(push, env)
    shutil.rmtree(folder)
    assert python(f"NAME = 'lab/act'{ask}", env) == before
    assert len(before.splitlines()) == 6
    assert "report.html" not in hub.repos["lab/act"].commits[hub.repos["lab/act"].branches["main"]]
