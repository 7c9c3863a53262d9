"""The command line: `python -m terminals replay FILE.csv …` and `python -m terminals simulate …`."""

import sys

from terminals.command import main

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:  # of a check, or before there was anything to stop
        sys.exit(130)
