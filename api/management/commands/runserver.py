"""`manage.py runserver`: Daphne's, for development; without it Django's own would serve no WebSocket."""

from daphne.management.commands.runserver import Command

__all__ = ["Command"]
