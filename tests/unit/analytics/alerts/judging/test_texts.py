"""What an alert says is in the words of who reads it, down to the names in it."""

from django.utils.translation import override

from analytics.alerts.judging import texts


def test_alarms_and_queues_are_named_by_title_and_code_in_each_language():
    alarm, alone = texts.of_alarm("disk_low", "/var/lib/mysql"), texts.of_alarm("disk_low", "")
    queue = texts.of_queue("backups", 7, 60)

    with override("ko"):
        assert str(alarm) == "시스템 경보: 디스크 부족 · disk_low (/var/lib/mysql)"
        assert str(alone) == "시스템 경보: 디스크 부족 · disk_low"
        assert str(queue) == "큐 백업 · backups 적체: 메시지 7건 대기, 60초째"
    with override("en"):
        assert str(alarm) == "Alarm of the system: disk almost full · disk_low (/var/lib/mysql)"
        assert str(queue) == "Queue backups · backups: 7 messages wait, too many for 60 s"
