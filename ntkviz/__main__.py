"""``python -m ntkviz``: the command line."""

import sys

from ntkviz.cli import main

if __name__ == "__main__":
    sys.exit(main())
