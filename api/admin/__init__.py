"""The administration pages: reference data to edit, clients and their keys, the ledger and the upkeep to read."""

from api.admin import audit, clients, ledger, maintenance, reference, vendors

__all__ = ["audit", "clients", "ledger", "maintenance", "reference", "vendors"]
