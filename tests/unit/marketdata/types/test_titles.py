"""Each alarm and each queue has a title, of its own and short enough for a line."""

from django.utils.translation import override

from api.remedies import REMEDIES
from celery_app import QUEUES
from marketdata.types import titles


def test_every_alarm_and_every_queue_has_a_title_and_nothing_else_has_one():
    assert set(titles.ALARMS) == set(REMEDIES)
    assert set(titles.QUEUES) == set(QUEUES)


def test_titles_are_short_and_tell_each_other_apart_in_both_languages():
    for language in ("ko", "en"):
        with override(language):
            for group in (titles.ALARMS, titles.QUEUES):
                told = [str(text) for text in group.values()]
                assert len(set(told)) == len(told)
                assert max(map(len, told)) <= 40


def test_the_code_stands_beside_its_title_and_alone_where_there_is_none():
    with override("ko"):
        assert titles.alarm("backup_overdue") == "백업 지연 · backup_overdue"
        assert titles.queue("backups") == "백업 · backups"
        assert titles.alarm("of another version") == "of another version"
