"""The administration pages: reference data to edit, clients and their keys, the ledger and the upkeep to read."""

from api.admin import clients, ledger, reference, upkeep

__all__ = ["clients", "ledger", "reference", "upkeep"]
