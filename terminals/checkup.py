"""`python -m terminals check`: everything a terminal rests on, looked at once, in plain words and with what to do."""

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from terminals import login_check
from terminals.finding import Finding, Level, of_error
from terminals.link import Config
from terminals.lock import FileLock, Locked
from terminals.sources import SourceUnavailable, explained
from terminals.sources.contract import SourceModule, WrongInput
from terminals.wire.language import gettext as _


def run(given: argparse.Namespace, module: SourceModule, config: Config, out: TextIO) -> bool:
    """Look at all of it and write each finding to `out`; whether nothing is in the way of sending."""
    signs = {Level.GOOD: _("good"), Level.DOUBTFUL: _("doubtful"), Level.WRONG: _("wrong")}
    wrong = 0
    for finding in findings(given, module, config):
        wrong += finding.level is Level.WRONG
        remedy = f"\n    → {finding.remedy}" if finding.remedy else ""
        out.write(f"[{signs[finding.level]}] {finding.told}{remedy}\n")
        out.flush()
    out.write(_("nothing is in the way") + "\n" if not wrong else _("to mend: {count}").format(count=wrong) + "\n")
    return not wrong


def findings(given: argparse.Namespace, module: SourceModule, config: Config) -> Iterator[Finding]:
    """The spool, the server with a login, the source."""
    in_use = _in_use(config.spool)
    yield from _spool(config)
    if in_use:
        told = _("a terminal is running with this spool ({holder}), so no login was tried").format(holder=in_use)
        yield Finding(Level.DOUBTFUL, told, _("its log says whether it was welcomed; stop it to check the login"))
    else:
        for address in (config.address, *config.others):
            yield from login_check.check(address, config.identity)
    yield from _source(given, module)


def _in_use(spool: Path) -> str:
    """Who holds the spool; empty if nobody does."""
    if not (spool / "lock").exists():
        return ""
    try:
        FileLock(spool / "lock").release()
    except Locked as error:
        return str(error)
    except OSError:  # the folder's own finding tells it
        return ""
    return ""


def _spool(config: Config) -> Iterator[Finding]:
    folder = config.spool.absolute()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        told = _("the spool {folder} cannot be written").format(folder=folder)
        yield Finding(Level.WRONG, told, _("give --spool a folder that this user may write to"))
        return
    kept = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
    free, wanted = shutil.disk_usage(there).free, max(0, config.capacity_bytes - kept)
    told = _("the spool {folder} may grow by {wanted} MiB, {free} MiB are free").format(
        folder=folder, wanted=wanted >> 20, free=free >> 20
    )
    if free < wanted:
        yield Finding(Level.DOUBTFUL, told, _("make room, or give --spool-mib what the disk has"))
    else:
        yield Finding(Level.GOOD, told)


def _source(given: argparse.Namespace, module: SourceModule) -> Iterator[Finding]:
    """What the source has to say of itself; without a word of its own, whether it opens."""
    own = getattr(module, "check", None)
    try:
        with explained(given.source):
            if own is not None:
                yield from own(given)
                return
            yield Finding(Level.GOOD, module.open_source(given).describe())
    except SourceUnavailable as error:
        yield Finding(Level.WRONG, str(error))
    except (ValueError, OSError, WrongInput) as error:
        yield Finding(
            Level.WRONG, _("the source {source}: {reason}").format(source=given.source, reason=of_error(error))
        )
