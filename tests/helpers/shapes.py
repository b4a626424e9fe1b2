"""Check the shapes in the signatures of the network's packages while tests run."""

from __future__ import annotations

import jaxtyping
from beartype import BeartypeConf, beartype

PACKAGES = ("foundation.nn", "foundation.models", "foundation.objectives")

#: Where a float is expected an int will do, as for type checkers (PEP 484).
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check_shapes() -> None:
    """Check every call into `PACKAGES` from now on; none of them may have been imported yet."""
    jaxtyping.install_import_hook(list(PACKAGES), f"{__name__}.checked")
