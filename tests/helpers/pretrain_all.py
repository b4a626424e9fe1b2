"""`wfm pretrain` of several recipes, one after the other in the same processes: starting these takes longer than a run.

    python tests/helpers/pretrain_all.py RECIPE ...

All recipes must ask for the same number of processes: Lightning starts the others once.
"""

import sys

from foundation.cli import main

for config in sys.argv[1:]:
    if status := main(["pretrain", "--config", config]):
        sys.exit(status)
