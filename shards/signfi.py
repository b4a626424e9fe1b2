"""SignFi: sign language gestures in Intel 5300 CSI, in a lab and a home.

Origin: https://yongsen.github.io/SignFi/ (5 GHz, 200 packets of one second). Licence: the authors' terms: research
only, not to be passed on. Citation: Ma et al., SignFi: Sign Language Recognition Using WiFi, IMWUT 2(1), 2018,
doi:10.1145/3191755.
Files: `dataset_lab_276_dl.mat` (1.44 GB), `dataset_lab_276_ul.mat` (1.33 GB), `dataset_home_276.mat` (1.37 GB) and
`dataset_lab_150.mat` (1.93 GB); those that are there are used. Arrays are [packet, subcarrier, antenna, instance].
Samples: one instance each, 200 packets x 3 antennas x 30 subcarriers; of downlinks the antennas are the transmitter's.
Labels: `gesture`, the number of the sign, 1 to 276.
Splits: `place`: train in the lab, test at home (276 signs, the same person); `user-N`: leave out one of the five people
of the 150 signs. The authors' five random folds leak. A session is a person in a place; which instances are of
one recording is not published. The one person of the 276 signs is taken to be user 5 of the 150, as is usual.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import from_files, layout, leave_out, parts
from foundation.errors import ShardError
from foundation.readers.arrays.containers import open_container
from foundation.readers.arrays.reader import stream
from foundation.signal import Signal

NAME = "signfi"
HOMEPAGE = "https://yongsen.github.io/SignFi/"
#: file -> arrays: (key, key of the labels, session, the axis that counts the antennas)
_ARRAYS = {
    "dataset_home_276": [("csid_home", "label_home", "home-276", "tx"), ("csiu_home", "label_home", "home-276", "rx")],
    "dataset_lab_150": [(f"csi{user}", "label", f"lab-150-user-{user}", "tx") for user in range(1, 6)],
    "dataset_lab_276_dl": [("csid_lab", "label_lab", "lab-276", "tx")],
    "dataset_lab_276_ul": [("csiu_lab", "label_lab", "lab-276", "rx")],
}


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    files = raw_files(raw, "dataset_*.mat", name=NAME, homepage=HOMEPAGE)
    files = [path for path in files if path.stem in _ARRAYS]
    sessions = list(dict.fromkeys(session for path in files for _, _, session, _ in _ARRAYS[path.stem]))
    return from_files(
        raw,
        {path: partial(_read, path) for path in files},
        lambda: _splits(sessions),
        name=NAME,
        title="SignFi: sign language in Intel 5300 CSI",
        licence="research only, see the homepage",
        citation="Ma et al., SignFi, IMWUT 2(1), 2018, doi:10.1145/3191755",
        homepage=HOMEPAGE,
        tasks={"gesture": "classification"},
    )


def _read(path: Path) -> Iterator[Signal]:
    start = 0
    for key, label_key, session, antennas in _ARRAYS[path.stem]:
        with open_container(path) as container:
            labels = container.array(label_key).whole().ravel()
            count = container.array(key).shape[3]
        # the five people of the 150 signs share one list of labels, one person after another
        own = labels[start : start + count] if label_key == "label" else labels
        start += count
        if len(own) != count:
            raise ShardError(f"{path}: {key} has {count} instances but {label_key} {len(labels)}; download it again.")
        given = layout("signfi", keys={"complex": key}, axes=["time", "response", antennas, "sample"])
        for signal, label in zip(stream(path, given), own, strict=True):
            subject = session[-6:] if "user" in session else "user-5"
            yield signal.with_(
                session=session,
                subject=subject,
                environment=session.partition("-")[0],
                labels={"gesture": str(int(label))},
            )


def _splits(sessions: list[str]) -> Splits:
    place = {"lab-276": "train", "home-276": "test"}
    return {
        "place": parts({s: place[s] for s in sessions if s in place}, ("train", "test")),
        **leave_out("user", {s: s[-1] for s in sessions if "user" in s}),
    }
