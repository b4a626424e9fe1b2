"""NTU-Fi HumanID: 14 people identified by their gait, Atheros CSI amplitudes.

Origin: https://github.com/xyanchen/WiFi-CSI-Sensing-Benchmark (SenseFi; its processed data). Licence: not stated for
the data, MIT for the code. Citation: Wang et al., CAUTION, IEEE Internet of Things Journal, 2022,
doi:10.1109/JIOT.2022.3156099.
Files: `NTU-Fi-HumanID/{train_amp,test_amp}/PERSON/*.mat` (546 and 294 files of about 4 MB), see `layouts/ntu-fi.yaml`.
Samples: one file each, 2000 packets x 3 antennas x 114 subcarriers.
Labels: `person`, 14 classes.
Split: `published`, the two folders. A session is a file; which files are of one recording is not published.
"""

from __future__ import annotations

from pathlib import Path

from foundation.data.shards.spec import Dataset
from foundation.datasets.ntu_fi_har import ntu_fi

NAME = "ntu-fi-humanid"


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `NTU-Fi-HumanID/`."""
    return ntu_fi(
        raw,
        "NTU-Fi-HumanID",
        "person",
        name=NAME,
        title="NTU-Fi HumanID: 14 people by their gait in Atheros CSI amplitudes",
        citation="Wang et al., CAUTION, IEEE Internet of Things Journal, 2022, doi:10.1109/JIOT.2022.3156099",
    )
