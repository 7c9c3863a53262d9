"""What the morning's mail says of a trading date: what is missing first, then totals, alarms, rollover and backup.
Reads and words only; `report_delivery` sends it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Count
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from analytics.quality import days, due, grades
from marketdata import alarms
from marketdata.ledger import gap_reasons
from marketdata.models import BackupRun, Gap, QualityDay, RolloverRun
from marketdata.types.units import SEOUL

MOST_SERIES, MOST_GAPS, MOST_ALARMS = 20, 10, 20
LONGEST = 300
"""Letters of one line: an alarm's message may have thousands."""


@dataclass(slots=True)
class Section:
    """A heading with lines, and how many more there are than are shown."""

    title: str
    lines: list[str] = field(default_factory=list)
    more: int = 0


@dataclass(slots=True)
class Report:
    """The mail's subject, its sections in order, and the address of the page up to that date ("" if none is known)."""

    subject: str
    sections: list[Section]
    link: str

    @property
    def text(self) -> str:
        """As plain text."""
        parts = [self.subject]
        for one in self.sections:
            lines = [*one.lines, *_more(one)]
            parts.append("\n".join([one.title, *(f"  {line}" for line in lines)]))
        return "\n\n".join([*parts, self.link] if self.link else parts) + "\n"

    @property
    def html(self) -> SafeString:
        """As simple HTML that loads nothing; whatever came from outside is escaped."""
        sections = format_html_join(
            "\n", "<h2>{}</h2>\n<ul>\n{}\n</ul>",
            ((one.title, format_html_join("\n", "<li>{}</li>", ((line,) for line in [*one.lines, *_more(one)])))
             for one in self.sections),
        )  # fmt: skip
        link = format_html('<p><a href="{}">{}</a></p>', self.link, self.link) if self.link else ""
        return format_html(
            '<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{}</title></head>\n'
            "<body>\n<h1>{}</h1>\n{}\n{}\n</body></html>\n", self.subject, self.subject, sections, link,
        )  # fmt: skip


def make(date: datetime.date, now: datetime.datetime, *, origin: str = "") -> Report:
    """Of a trading date as it is known at `now`, in the language in force; `origin` is where the pages are reached.
    LookupError if nothing is known of the date."""
    found = days.of_date(date)
    run = RolloverRun.objects.filter(trade_date=date).first()
    reasons = found.reasons()
    grade = grades.grade(reasons)
    is_over = run is not None and run.state == RolloverRun.State.DONE
    is_graded = run is not None and is_over and bool(run.graded_as) and date not in dict(due.due_days(now))
    head = Section(_("Grade {grade}").format(grade=grade), [one.text for one in reasons] or [_("nothing is missing")])
    if not is_over:
        state = run.get_state_display() if run else _("not begun")
        told = _("NOT ROLLED OVER YET ({state}): all figures are preliminary").format(state=state)
    elif not is_graded:
        told = _("NOT GRADED YET: the series below are not all of the day's")
    else:
        told = ""
    if told:
        head.lines.insert(0, told)
    subject = _("[Naru] Quality of {date}: {grade}").format(date=date.isoformat(), grade=grade)
    if told:
        subject = _("[Naru] Quality of {date}: {grade}, preliminary").format(date=date.isoformat(), grade=grade)
    sections = [head, _gaps(date), _series(date), _totals(found), _alarms(), _upkeep(run)]
    return Report(subject, sections, f"{origin}/quality?end={date.isoformat()}" if origin else "")


def _more(section: Section) -> list[str]:
    return [_("and {count:,} more").format(count=section.more)] if section.more else []


def _line(text: str) -> str:
    """On one line, so that what came from outside cannot look like another."""
    return " ".join(text.split())[:LONGEST]


def _gaps(date: datetime.date) -> Section:
    gaps = Gap.objects.filter(days.of_day(date))
    section = Section(_("Known gaps"), more=max(gaps.count() - MOST_GAPS, 0))
    for gap in gaps.order_by("-rows", "pk")[:MOST_GAPS]:
        section.lines.append(
            _line(
                _("{start} to {end} {feed} {symbol}: {rows:,} rows, {reason}").format(
                    start=_clock(gap.from_us), end=_clock(gap.to_us), feed=gap.feed, symbol=gap.symbol or "*",
                    rows=gap.rows, reason=gap_reasons.words(gap.reason),
                )
            )
        )  # fmt: skip
    section.lines = section.lines or [_("none")]
    return section


def _series(date: datetime.date) -> Section:
    rows = QualityDay.objects.filter(trade_date=date)
    counts = dict(rows.order_by().values_list("grade").annotate(Count("pk")))
    worse = rows.exclude(grade=grades.GRADES[0])
    section = Section(_("Series by grade, the worst first"), more=max(worse.count() - MOST_SERIES, 0))
    section.lines.append(", ".join(f"{grade}: {counts.get(grade, 0):,}" for grade in grades.GRADES))
    for row in worse.order_by("-grade", "-lost", "-missing", "feed", "symbol")[:MOST_SERIES]:
        why = "; ".join(one.text for one in grades.from_json(row.figures.get("reasons", [])))
        section.lines.append(_line(f"{row.grade} {row.symbol} {row.feed}: {why}"))
    return section


def _totals(found: days.Quality) -> Section:
    refused = {word: count for word, count in found.rejected.items() if word != grades.REPEATED}
    lines = [
        _("received: {rows:,} rows").format(rows=found.received or 0),
        _("stored: {rows:,}").format(rows=found.stored),
        _("repeated: {rows:,}").format(rows=found.repeated or 0),
        _("rejected: {rows:,}").format(rows=found.rejected_rows) + _by_reason(refused.items()),
        _("late: {rows:,}").format(rows=found.late or 0),
        _("taken back: {rows:,}").format(rows=found.voided),
    ]
    if found.partial:
        lines.append(_("more rows were refused than were looked at"))
    return Section(_("Totals of the day"), lines)


def _by_reason(refused: Iterable[tuple[str, int]]) -> str:
    told = ", ".join(f"{word} {count:,}" for word, count in sorted(refused, key=lambda one: (-one[1], one[0])))
    return f" ({told})" if told else ""


def _alarms() -> Section:
    active = alarms.active()
    section = Section(_("Alarms that stand"), more=max(len(active) - MOST_ALARMS, 0))
    section.lines = [_line(f"{one}: {one.shown}") for one in active[:MOST_ALARMS]] or [_("none")]
    return section


def _upkeep(run: RolloverRun | None) -> Section:
    lines = []
    if run is not None:
        at = _moment(run.done_at) if run.done_at else "–"
        lines.append(_("rollover: {state}, {at}").format(state=run.get_state_display(), at=at))
        if run.error and run.state != RolloverRun.State.DONE:
            lines.append(_line(run.shown))
    newest = BackupRun.objects.order_by("-pk").first()
    good = BackupRun.objects.filter(state=BackupRun.State.VERIFIED).order_by("-verified_at").first()
    if newest is None:
        lines.append(_("backup: none was ever made"))
    else:
        lines.append(_("newest backup: {name}, {state}").format(name=newest.name, state=newest.get_state_display()))
    if newest is not None:
        at = _moment(good.verified_at) if good and good.verified_at else _("never")
        lines.append(_("last restored and compared: {at}").format(at=at))
    return Section(_("Rollover and backup"), lines)


def _clock(time_us: int) -> str:
    return f"{datetime.datetime.fromtimestamp(time_us / 1e6, SEOUL):%H:%M:%S}"


def _moment(at: datetime.datetime) -> str:
    return f"{at.astimezone(SEOUL):%Y-%m-%d %H:%M} KST"
