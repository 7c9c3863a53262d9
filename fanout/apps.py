"""Django's entry for the fanout package: its command."""

from django.apps import AppConfig


class FanoutConfig(AppConfig):
    name = "fanout"
