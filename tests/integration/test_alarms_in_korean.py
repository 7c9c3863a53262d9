"""An alarm is kept and logged in English, and shown in the language of whoever looks."""

import json

import pytest
from django.contrib import admin
from django.utils import translation
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from api.admin.maintenance import AlarmAdmin
from ingest.alarmboard import AlarmBoard
from marketdata import alarms
from marketdata.models import Alarm

pytestmark = pytest.mark.usefixtures("road_database")
WORDS = format_lazy(_("{refused:,} more refused: {message}"), refused=1200, message=_("registered symbols"))


def test_a_message_of_the_catalogue_is_kept_in_english_and_shown_in_the_readers_language():
    with translation.override("ko"):  # as every process of a Korean installation
        alarms.raise_alarm("quota_reached", "of another version", subject="symbols")
        alarms.raise_alarm("quota_reached", WORDS, subject="symbols")
    alarm = Alarm.objects.get(code="quota_reached")

    assert (alarm.message, alarm.count) == ("1,200 more refused: registered symbols", 2)
    assert alarm.shown == alarm.message
    with translation.override("ko"):
        assert alarm.shown == "1,200개를 더 요청해 거절했습니다: 등록된 종목"


@pytest.mark.once
def test_a_text_in_no_catalogue_is_shown_as_it_is():
    alarms.raise_alarm("rollover_failed", "OSError: no room")

    with translation.override("ko"):
        assert Alarm.objects.get(code="rollover_failed").shown == "OSError: no room"


@pytest.mark.once
def test_the_admin_shows_it_in_the_language_of_the_page():
    alarms.raise_alarm("quota_reached", WORDS, subject="symbols")
    alarm, shown = Alarm.objects.get(code="quota_reached"), AlarmAdmin(Alarm, admin.site)

    english = shown.told(alarm)
    with translation.override("ko"):
        korean = shown.told(alarm)

    assert english == "1,200 more refused: registered symbols"
    assert korean == "1,200개를 더 요청해 거절했습니다: 등록된 종목"


@pytest.mark.once
def test_what_an_ingest_server_tells_of_itself_has_both():
    board = AlarmBoard()
    with translation.override("ko"):
        board.set("quota_reached", WORDS)
        (told,) = json.loads(json.dumps(board.active()))

    assert told["message"] == "1,200 more refused: registered symbols"
    assert told["texts"] == {"ko": "1,200개를 더 요청해 거절했습니다: 등록된 종목"}
