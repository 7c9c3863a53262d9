"""Django's entry for the fanout package: its command, and what it adds to `manage.py doctor`."""

from django.apps import AppConfig


class FanoutConfig(AppConfig):
    name = "fanout"

    def ready(self) -> None:
        from fanout import findings
        from marketdata.doctor import examination

        examination.OF_OTHERS.append(findings.topics)
