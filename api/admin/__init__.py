"""The administration pages: reference data to edit, clients and their keys, and the ledger to read."""

from api.admin import clients, ledger, reference

__all__ = ["clients", "ledger", "reference"]
