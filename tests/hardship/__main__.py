"""Entry point of ``make hardship``."""

import sys

from tests.hardship.campaign import main

sys.exit(main(sys.argv[1:]))
