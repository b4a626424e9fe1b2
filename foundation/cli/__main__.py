"""`python -m foundation.cli`, where the command `wfm` is not on the path."""

import sys

from foundation.cli import main

sys.exit(main())
