"""`manage.py runworkers` with the faults of the drill: `python -m tests.drill.workers` takes the same options."""

from __future__ import annotations

import os
import sys

import django
from django.core.management import call_command

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata.settings")
    django.setup()
    from tests.drill import faults  # noqa: F401 - installs them

    call_command("runworkers", *sys.argv[1:])
