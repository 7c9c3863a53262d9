#!/usr/bin/env python
"""Django's command line for Naru. What changes something is kept in the audit log."""

import os
import select
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata.settings")
    from django.core.management import execute_from_command_line

    outcome = "done"
    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except SystemExit as ended:
        outcome = "done" if not ended.code else f"exit {ended.code}"
        raise
    except BaseException as error:
        outcome = f"failed: {type(error).__name__}"
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            outcome = "exit 141"
            # What is left of the output goes nowhere when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)  # what a shell says of a program that SIGPIPE ended
        if _is_wrong_setting(error):
            sys.exit(str(error))
        raise
    finally:
        _note(outcome)


def _reader_is_gone() -> bool:
    """Whether nobody reads the standard output any more, as after `| head`; a pipe to a program may break as well."""
    waiting = select.poll()
    waiting.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in waiting.poll(0))


def _is_wrong_setting(error: BaseException) -> bool:
    from marketdata.environment import WrongSetting

    return isinstance(error, WrongSetting)


def _note(outcome: str) -> None:
    from django.apps import apps

    if apps.ready:  # else not even the settings could be read
        from marketdata import audit

        audit.note_command(sys.argv[1:], outcome)


if __name__ == "__main__":
    main()
