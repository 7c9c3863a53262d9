"""Symbols changed together: what is chosen in their list becomes a sheet, which is shown as what it would change and
applied only as it was shown (`api.admin.sheets`); or they come into one's own watch lists, or out of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from marketdata.models import Feed, Market, Symbol, Watchlist
from marketdata.reference import sheets, watchlists
from marketdata.types import categories

MOST_CHANGED = 5_000
FIELDS = ("market", "category", "primary_feed", "is_active")


class ChangesForm(forms.Form):
    """What becomes of every chosen symbol; a field that is left empty leaves it as it is."""

    market = forms.ModelChoiceField(Market.objects.order_by("code"), label=_("market"), required=False)
    category = forms.RegexField(
        categories.PATTERN, label=_("category"), required=False, help_text=_("1 to 16 of a-z, 0-9, _")
    )
    primary_feed = forms.ModelChoiceField(Feed.objects.order_by("name"), label=_("primary feed"), required=False)
    is_active = forms.TypedChoiceField(label=_("collected"), required=False, empty_value=None)
    into = forms.ModelChoiceField(Watchlist.objects.none(), label=_("into my watch list"), required=False)
    out_of = forms.ModelChoiceField(Watchlist.objects.none(), label=_("out of my watch list"), required=False)

    def __init__(self, user: int, data: Any = None) -> None:
        super().__init__(data)
        fields: dict[str, Any] = self.fields
        fields["is_active"].choices = [("", "---------"), ("true", _("collected")), ("false", _("not collected"))]
        for name in ("into", "out_of"):
            fields[name].queryset = watchlists.of_person(user)
            fields[name].label_from_instance = lambda one: f"{one.name} ({len(one.symbols)})"

    @property
    def changes(self) -> dict[str, str]:
        """The fields of the sheet that were given, as a file has them."""
        given = ((name, self.cleaned_data.get(name)) for name in FIELDS)
        return {name: str(getattr(value, "pk", value)) for name, value in given if value}

    @property
    def lists(self) -> list[tuple[Watchlist, bool]]:
        """The watch lists that were given, and whether the symbols come into it."""
        given = ((self.cleaned_data.get(name), name == "into") for name in ("into", "out_of"))
        return [(one, comes) for one, comes in given if one is not None]


def sheet_of(codes: Sequence[str], changes: dict[str, str]) -> str:
    """The text of a file that gives each of these symbols these values."""
    rows = [(code, *changes.values()) for code in codes]
    return sheets.decoded(sheets.write(("code", *changes), rows))


def chosen_codes(chosen: QuerySet[Symbol]) -> list[str]:
    """The codes of what was chosen in a list, one more than MOST_CHANGED at most."""
    return list(chosen.order_by("code").values_list("code", flat=True)[: MOST_CHANGED + 1])
