"""The report of quality by mail: what it says, once to each recipient, and what happens when the server fails."""

from __future__ import annotations

import datetime
import email
import email.policy
import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics.quality import due, report, report_delivery
from analytics.quality.report_delivery import FAILED
from marketdata import alarms
from marketdata.models import Alarm, BackupRun, Gap, RolloverRun
from tests.integration.serving import minute, serving
from tests.market import MINUTE_US, NINE_US

__all__ = ["serving"]

DAY = datetime.date(2026, 3, 16)  # a Monday, which is rolled over on Tuesday
DONE_AT = datetime.datetime(2026, 3, 16, 23, 6, tzinfo=datetime.UTC)
MORNING = datetime.datetime(2026, 3, 16, 23, 30, tzinfo=datetime.UTC)  # Tuesday, 08:30 in Seoul
DESK, HEAD = "desk@example.com", "head@example.com"
State = RolloverRun.State


class MailServer(socketserver.ThreadingTCPServer):
    """An SMTP server on loopback (RFC 5321): keeps what it takes, refuses recipients, or ends connections at DATA after
    it took so many."""

    daemon_threads = True

    def __init__(self) -> None:
        self.taken: list[tuple[str, EmailMessage]] = []
        self.refused: set[str] = set()
        self.takes = 1_000
        super().__init__(("127.0.0.1", 0), _Conversation)

    def to(self) -> list[str]:
        """Who has mail."""
        return sorted(recipient for recipient, _ in self.taken)


class _Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 mail.example")
        recipients: list[str] = []
        while line := self.rfile.readline().decode().strip():
            word = line[:4].upper()
            if word == "RCPT":
                address = line.partition("<")[2].partition(">")[0]
                if address in self.server.refused:
                    self._say("550 no such mailbox")
                    continue
                recipients.append(address)
            elif word == "DATA":
                if len(self.server.taken) >= self.server.takes:
                    return
                self._say("354 go on")
                lines = []
                while (one := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(one[1:] if one.startswith(b".") else one)
                message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                self.server.taken += [(recipient, message) for recipient in recipients]
                recipients = []
            elif word == "QUIT":
                self._say("221 bye")
                return
            elif word == "RSET":
                recipients = []
            self._say("250 ok")

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


@pytest.fixture
def server(settings):
    with MailServer() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", made.server_address[1]
        settings.DEFAULT_FROM_EMAIL = "naru@example.com"
        settings.QUALITY_REPORT_TO = [DESK, HEAD]
        settings.LANGUAGE_CODE = "en"
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def run(road_database):
    return RolloverRun.objects.create(trade_date=DAY, expected=True, state=State.DONE, done_at=DONE_AT, rows=1)


def later(**pause: float) -> datetime.datetime:
    return MORNING + datetime.timedelta(**pause)


def standing() -> list[str]:
    return list(Alarm.objects.filter(code=FAILED, cleared_at=None).values_list("subject", flat=True))


def bodies(message: EmailMessage) -> dict[str, str]:
    return {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}


def test_it_tells_what_is_missing_first_and_then_the_totals(serving, server, settings):
    settings.PUBLIC_ORIGIN = "https://naru.example.com"
    serving.commit([minute(number, price="70000") for number in range(380)])
    serving.commit([minute(1, symbol="000660", price="-1"), minute(2, symbol="000660", price="9")])
    Gap.objects.create(
        batch=9, feed="krx", symbol="005930", from_us=NINE_US, to_us=NINE_US + MINUTE_US, rows=7, reason="hole"
    )
    RolloverRun.objects.update_or_create(
        trade_date=DAY, defaults={"state": State.DONE, "done_at": DONE_AT, "rows": 381, "expected": True}
    )
    alarms.raise_alarm("clock_offset", "far off", subject="pc1")
    BackupRun.objects.create(kind="full", vendor=connection.vendor, name="naru-1", started_at=DONE_AT)
    due.finish(MORNING)

    assert report_delivery.send_due(MORNING)

    assert server.to() == [DESK, HEAD]
    message = server.taken[0][1]
    assert (message["Subject"], message["To"]) == ("[Naru] Quality of 2026-03-16: C", DESK)
    text = bodies(message)["text/plain"]
    told = [
        "Grade C", "gaps: 1, missing rows: 7", "09:00:00 to 09:01:00 krx 005930: 7 rows, hole", "A: 0, B: 0, C: 2",
        "C 005930 krx: gaps: 1, missing rows: 7", "received: 382 rows", "stored: 381",
        "rejected: 1 (price_not_positive 1)", "clock_offset pc1: far off", "rollover: done, 2026-03-17 08:06 KST",
        "newest backup: naru-1", "last restored and compared: never",
        "https://naru.example.com/quality?end=2026-03-16",
    ]  # fmt: skip
    assert [one for one in told if one not in text] == []
    assert sorted(told, key=text.index) == told or text.index("Grade C") < text.index("received")
    html = bodies(message)["text/html"]
    assert [one for one in told if one not in html] == []


@pytest.mark.once
def test_it_is_korean_unless_the_setting_says_english(run, server, settings):
    settings.LANGUAGE_CODE = "ko"

    assert report_delivery.send_due(MORNING)

    message = server.taken[0][1]
    assert message["Subject"].startswith("[나루] 2026-03-16 품질: D")
    assert "해소되지 않은 경보" in bodies(message)["text/plain"]


@pytest.mark.once
def test_a_day_that_is_not_rolled_over_or_not_graded_is_told_as_such(run, server):
    RolloverRun.objects.update(state=State.SEALED, done_at=None, error="the ledger has 5, stored are 4")
    first = report.make(DAY, MORNING)
    RolloverRun.objects.update(state=State.DONE, done_at=DONE_AT, error="")
    second = report.make(DAY, MORNING)
    due.finish(MORNING)

    assert "NOT ROLLED OVER YET (sealed)" in first.text
    assert "the ledger has 5, stored are 4" in first.text
    assert "NOT GRADED YET" in second.text
    assert "preliminary" in first.subject
    assert "preliminary" in second.subject
    assert "YET" not in report.make(DAY, MORNING).text


@pytest.mark.once
def test_it_is_due_from_half_past_eight_on_the_morning_of_the_rollover_and_on_no_other_day(run, settings):
    assert report_delivery.due_date(later(seconds=-1)) is None
    assert report_delivery.due_date(MORNING) == DAY
    assert report_delivery.due_date(later(hours=15)) == DAY  # beat was away
    assert report_delivery.due_date(later(hours=16)) is None
    friday_seen_on_saturday = datetime.datetime(2026, 3, 21, 1, tzinfo=datetime.UTC)
    assert report_delivery.due_date(friday_seen_on_saturday) is None
    assert report_delivery.due_date(friday_seen_on_saturday + datetime.timedelta(days=2)) == datetime.date(2026, 3, 20)


@pytest.mark.once
def test_without_recipients_nothing_is_sent(run, server, settings):
    settings.QUALITY_REPORT_TO = []

    assert not report_delivery.send_due(MORNING)
    assert server.taken == []


def test_two_workers_send_it_once(run, server):
    together = threading.Barrier(2)

    def work(_number: int) -> bool:
        try:
            together.wait()
            return report_delivery.send_due(MORNING)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as workers:
        sent = list(workers.map(work, range(2)))
    again = report_delivery.send_due(later(hours=1))

    assert (sorted(sent), again) == ([False, True], False)
    assert server.to() == [DESK, HEAD]
    run.refresh_from_db()
    assert (run.reported_to, run.report_tries, run.reported_at is None) == ([DESK, HEAD], 1, False)


def test_what_a_server_fails_to_take_is_tried_again_for_who_lacks_it(run, server):
    server.takes = 1

    assert not report_delivery.send_due(MORNING)
    assert (server.to(), standing()) == ([DESK], ["2026-03-16"])
    server.takes = 1_000
    assert not report_delivery.send_due(later(seconds=59))  # its pause is not over
    assert server.to() == [DESK]
    assert report_delivery.send_due(later(seconds=60))

    assert (server.to(), standing()) == ([DESK, HEAD], [])


def test_a_recipient_that_is_refused_holds_up_no_other_and_tries_end(run, server):
    server.refused = {DESK}
    at, pauses = MORNING, []

    for _ in range(report_delivery.TRIES):
        assert not report_delivery.send_due(at)
        run.refresh_from_db()
        pauses.append((run.report_next_at - at).total_seconds())
        at = run.report_next_at
    assert not report_delivery.send_due(at)

    assert server.to() == [HEAD]
    assert (pauses[:3], pauses[-1]) == ([60.0, 120.0, 240.0], report_delivery.LONGEST_PAUSE_S)
    assert standing() == ["2026-03-16"]
    message = Alarm.objects.get(code=FAILED).message
    assert "1 of 2 recipients: SMTPRecipientsRefused (attempt 10 of 10)" in message
    assert DESK not in message
    server.refused = set()
    call_command("quality_report", "2026-03-16", "--send")
    assert (server.to(), standing()) == ([DESK, HEAD, HEAD], [])


@pytest.mark.once
def test_an_attempt_that_its_worker_did_not_live_to_note_is_made_again(run, server):
    RolloverRun.objects.update(
        report_tries=1, report_next_at=later(seconds=report_delivery.CLAIM_S), reported_to=[DESK]
    )

    assert not report_delivery.send_due(later(seconds=60))
    assert report_delivery.send_due(later(seconds=report_delivery.CLAIM_S))

    assert server.to() == [HEAD]


@pytest.mark.once
def test_nothing_from_outside_becomes_a_header_a_line_or_markup(run, server):
    Gap.objects.create(
        batch=1, feed="krx", from_us=NINE_US, to_us=NINE_US + 1, rows=1,
        reason="x\r\nBcc: thief@example.com\r\n\r\n<script>alert(1)</script>",
    )  # fmt: skip
    alarms.raise_alarm("clock_offset", "a\n.\nRCPT TO:<thief@example.com>", subject="pc\r\nBcc: thief@example.com")

    assert report_delivery.send_due(MORNING)

    assert server.to() == [DESK, HEAD]
    message = server.taken[0][1]
    assert message["Bcc"] is None
    assert message["Subject"].startswith("[Naru] Quality of 2026-03-16")
    lines = bodies(message)["text/plain"].splitlines()
    assert [one for one in lines if one.startswith(("Bcc", "RCPT", "."))] == []
    html = bodies(message)["text/html"]
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.once
def test_by_hand_it_is_printed_and_says_what_cannot_be_sent(run, server, settings, capsys):
    call_command("quality_report", "2026-03-16")
    assert "Quality of 2026-03-16" in capsys.readouterr().out
    assert server.taken == []

    with pytest.raises(CommandError, match="nothing is known of 2026-03-10"):
        call_command("quality_report", "2026-03-10")
    server.takes = 0
    with pytest.raises(CommandError, match="the mail server did not take it: SMTPServerDisconnected"):
        call_command("quality_report", "2026-03-16", "--send")
    settings.QUALITY_REPORT_TO = []
    with pytest.raises(CommandError, match="QUALITY_REPORT_TO"):
        call_command("quality_report", "2026-03-16", "--send")
