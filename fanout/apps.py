"""Django's entry for the fanout package: its command, and what it adds to `manage.py doctor`."""

from django.apps import AppConfig


class FanoutConfig(AppConfig):
    name = "fanout"
    doctor_looks = ("fanout.findings.topics",)
