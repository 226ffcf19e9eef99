"""`python -m rtrrl` is the command `rtrrl`."""

import sys

from rtrrl.cli import main

if __name__ == "__main__":
    sys.exit(main())
