#!/usr/bin/env python
"""Django's command line for Naru. What changes something is kept in the audit log."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata.settings")
    from django.core.management import execute_from_command_line

    outcome = "done"
    try:
        execute_from_command_line(sys.argv)
    except SystemExit as ended:
        outcome = "done" if not ended.code else f"exit {ended.code}"
        raise
    except BaseException as error:
        outcome = f"failed: {type(error).__name__}"
        raise
    finally:
        _note(outcome)


def _note(outcome: str) -> None:
    from django.apps import apps

    if apps.ready:  # else not even the settings could be read
        from marketdata import audit

        audit.note_command(sys.argv[1:], outcome)


if __name__ == "__main__":
    main()
