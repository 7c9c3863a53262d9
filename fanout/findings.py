"""What `manage.py doctor` says of the topics of another broker: asked of the broker itself."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.doctor.findings import Finding, Level, answers

WHAT = _("copies of topics")


def topics() -> Iterator[Finding]:
    """For `manage.py doctor`. Nothing without EVENT_BUS."""
    if settings.EVENT_BUS == "none":
        return
    try:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        from fanout import copies, delivery
        from fanout.messages import TOPICS
    except ModuleNotFoundError as error:
        yield answers(WHAT, str(error), _("ask where `manage.py runfanout` runs"), level=Level.UNKNOWN)
        return
    remedy = _("see whether the broker can be reached (KAFKA_BOOTSTRAP, KAFKA_OPTIONS_FILE); it then catches up")
    try:
        extra = delivery.options(settings.KAFKA_OPTIONS)
        admin = AdminClient({"bootstrap.servers": ",".join(settings.KAFKA_BOOTSTRAP), "log_level": 0, **extra})
        found = copies.look(admin, [settings.KAFKA_TOPIC_PREFIX + topic for topic in TOPICS])
    except (KafkaException, delivery.OptionsError) as error:
        yield answers(WHAT, str(error)[:200], remedy, level=Level.WARNING)
        return
    for one in found:
        yield Finding(
            what=format_lazy(_("copies of the topic {topic}"), topic=one.topic),
            value=f"{one.copies}, {copies.MIN_IN_SYNC}={'?' if one.in_sync is None else one.in_sync}",
            wanted=format_lazy(
                _("{copies} or more, and {setting}={fewest}"),
                copies=copies.FEWEST_COPIES, setting=copies.MIN_IN_SYNC, fewest=copies.FEWEST_IN_SYNC,
            ),
            level=one.level,
            remedy=_(
                "more copies (kafka-reassign-partitions), and kafka-configs --alter --add-config min.insync.replicas=2:"
                " what one broker alone has is gone with it"
            ),
        )  # fmt: skip
