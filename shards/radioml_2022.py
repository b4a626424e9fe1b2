"""RML22: modulations of synthetic signals, 128 IQ samples each, with more realistic impairments than RadioML 2016.

Origin: https://github.com/venkateshsathya/RML22. Licence: not stated. Citation: Sathyanarayanan et al., RML22:
Realistic Dataset Generation for Wireless Modulation Classification, IEEE Transactions on Wireless Communications, 2023.
Files: `RML22.01A` (a pickle of 462000 examples, which is read without being unpickled).
Samples, labels and split: as `radioml_2016`.
"""

from __future__ import annotations

from pathlib import Path

from foundation.data.shards.spec import Dataset
from foundation.datasets.common import NOT_STATED
from foundation.datasets.radioml_2016 import pickles

NAME = "radioml-2022"


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `RML22.01A`."""
    return pickles(
        raw,
        "RML22*",
        name=NAME,
        title="RML22: modulations of synthetic signals",
        licence=NOT_STATED,
        citation="Sathyanarayanan et al., RML22, IEEE Transactions on Wireless Communications, 2023",
        homepage="https://github.com/venkateshsathya/RML22",
    )
