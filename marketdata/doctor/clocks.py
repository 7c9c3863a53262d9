"""Clocks: this machine's beside the database's, and whether anything keeps it right."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Callable, Iterator

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.doctor.findings import Finding, Level
from marketdata.storage import storage

_UNSYNCHRONISED = 0x40  # STA_UNSYNC of <sys/timex.h>


def clocks() -> Iterator[Finding]:
    """This machine's clock and the database's."""
    offset_s = clock_offset_s()
    yield Finding(
        what=_("clock of this machine minus the database's"), value=f"{offset_s:+.3f} s",
        wanted=format_lazy(_("at most {limit:g} s apart"), limit=settings.CLOCK_OFFSET_ALARM_S),
        level=Level.OK if abs(offset_s) <= settings.CLOCK_OFFSET_ALARM_S else Level.ERROR,
        remedy=_("set both by NTP (timedatectl)"),
    )  # fmt: skip


def clock_offset_s(clock: Callable[[], float] = time.time) -> float:
    """This machine's clock minus the database's, in seconds; what the question took is halved."""
    before = clock()
    database_s = storage().clock_us() / 1e6
    return (before + clock()) / 2 - database_s


class _Timex(ctypes.Structure):
    """struct timex of Linux (adjtimex(2)), as far as it is read; times in microseconds."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_char * 256),
    )  # fmt: skip


def _adjtimex() -> tuple[int, int]:
    """What the kernel says of its clock: status and greatest error in microseconds. OSError where it does not."""
    kernel, asked = ctypes.CDLL(None, use_errno=True), _Timex()
    if kernel.adjtimex(ctypes.byref(asked)) < 0:  # asks only, for `modes` is 0
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return asked.status, asked.maxerror


def synchronisation(ask: Callable[[], tuple[int, int]] = _adjtimex) -> Iterator[Finding]:
    """Whether chrony, systemd-timesyncd or another one tells the kernel that its clock is right. In a container the
    host's answers; one that is not allowed to ask says so."""
    what, wanted = _("NTP on this machine"), _("synchronised")
    remedy = _("run chrony or systemd-timesyncd, and see `timedatectl` or `chronyc tracking`")
    try:
        state, error_us = ask()
    except (OSError, AttributeError) as error:
        number = getattr(error, "errno", errno.ENOSYS)
        value = format_lazy(_("not told ({reason})"), reason=os.strerror(number))
        yield Finding(what=what, value=value, wanted=wanted, level=Level.UNKNOWN, remedy=remedy)
        return
    is_kept = not state & _UNSYNCHRONISED
    told = format_lazy(_("synchronised, at most {error:.1f} ms off"), error=error_us / 1000)
    yield Finding(
        what=what, value=told if is_kept else _("not synchronised"), wanted=wanted,
        level=Level.OK if is_kept else Level.WARNING, remedy=remedy,
    )  # fmt: skip
