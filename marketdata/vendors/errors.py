"""Why a vendor gives no answer."""

from __future__ import annotations


class VendorAway(Exception):
    """The vendor cannot be asked now, whatever for: no connection, refused keys, an error of its service."""


class VendorRefused(Exception):
    """The vendor was asked and has no answer: a symbol it does not know, a call the account does not have."""


class NotConfigured(Exception):
    """No keys for the vendor are configured; the message says how to."""


class UnusableKeys(Exception):
    """There are keys for the vendor, and they cannot be used; the message says why and shows none."""
