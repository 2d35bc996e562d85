"""`python -m optihedge.cli`."""

import sys

from optihedge.cli import main

if __name__ == "__main__":
    sys.exit(main())
