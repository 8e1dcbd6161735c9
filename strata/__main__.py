"""`python -m strata` is the command line."""

import sys

from strata.cli import main

sys.exit(main())
