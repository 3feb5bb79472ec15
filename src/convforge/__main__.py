"""`python -m convforge …` is the command `convforge …`."""

import sys

from convforge.cli import main

if __name__ == "__main__":
    sys.exit(main())
