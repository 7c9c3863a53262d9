"""The command line: `python -m terminals replay FILE.csv …` and `python -m terminals simulate …`."""

import os
import sys

from terminals.command import main

if __name__ == "__main__":
    try:
        try:
            sys.exit(main(sys.argv[1:]))
        finally:
            print(end="", flush=True)
    except KeyboardInterrupt:  # of a check, or before there was anything to stop
        sys.exit(130)
    except BrokenPipeError:  # whoever read the output has seen enough, such as `head`
        # What is left of it goes nowhere when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # what a shell says of a program that SIGPIPE ended
