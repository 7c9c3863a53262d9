"""What the lists of the administration may be asked for: the filters they offer, exact values of what they show, and a
search of a bounded length. Django takes any lookup of any field from an address, and what only the database finds wrong
with one (a pattern, a year, a number) would be an error of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.db.models import QuerySet

    _Page = ModelAdmin[Any]
else:
    _Page = object

MOST_WORDS, MOST_LETTERS = 20, 200
"""Of a search: each word is compared with every field that is searched, and SQLite refuses a statement with a thousand
conditions."""
_SPANS = ("gte", "lt")  # what a year, month or day of a list becomes


class OfferedList(ChangeList):
    """A list that answers to what it offers."""

    def get_filters(self, request: HttpRequest) -> Any:
        """DisallowedModelAdminLookup for what the list does not offer, IncorrectLookupParameters for a date that has
        no next one."""
        try:
            found = super().get_filters(request)
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters(error) from error
        rest = set(found[2])  # beside what the filters took
        if rest:
            rest -= {f"{name}{how}" for name in self._shown(request) for how in ("", "__exact")}
        if self.date_hierarchy and f"{self.date_hierarchy}__year" in self.filter_params:
            rest -= {f"{self.date_hierarchy}__{span}" for span in _SPANS}
        if rest:
            raise DisallowedModelAdminLookup(f"Filtering by {min(rest)} not allowed")
        return found

    def _shown(self, request: HttpRequest) -> set[str]:
        """Names of what rows show of themselves, in the list or on their own page."""
        page = self.model_admin
        return {str(self.lookup_opts.pk.name), *map(str, self.list_display)} | {
            str(name) for name in flatten_fieldsets(page.get_fieldsets(request))
        }

    def get_results(self, request: HttpRequest) -> None:
        """IncorrectLookupParameters for a value that is none of its column's."""
        try:
            super().get_results(request)
        except (DataError, OverflowError) as error:
            raise IncorrectLookupParameters(error) from error


class _Chosen(AutocompleteSelect):
    """A row to choose, whose number may have come from an address: what can be none is not looked for."""

    def optgroups(self, name: str, value: Sequence[str], attr: dict[str, Any] | None = None) -> Any:
        return super().optgroups(name, [one for one in value if self._is_key(one)], attr)

    def _is_key(self, value: str) -> bool:
        try:
            self.field.target_field.get_prep_value(value)
        except (ValueError, ValidationError):
            return False
        return True


class _Bounded(_Page):
    """Before a page of the administration: its list, and how much it is searched for."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return OfferedList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """None also for a number that no row can have."""
        try:
            return super().get_object(request, object_id, from_field)
        except (DataError, OverflowError):
            return None

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", _Chosen(db_field, self.admin_site, using=kwargs.get("using")))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Nothing, and a word why, for a search that is too long."""
        if len(search_term) <= MOST_LETTERS and len(search_term.split()) <= MOST_WORDS:
            return super().get_search_results(request, queryset, search_term)
        if request.resolver_match is not None and str(request.resolver_match.url_name).endswith("_changelist"):
            told = _("A search has at most {words} words and {letters} letters.")
            messages.error(request, told.format(words=MOST_WORDS, letters=MOST_LETTERS))
        return queryset.none(), False

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *more: Any) -> HttpResponse | None:
        """SuspiciousOperation where what is chosen can be no row of the list."""
        try:
            queryset.filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))
        except (ValueError, ValidationError) as error:
            raise SuspiciousOperation("what is chosen is no row of this list") from error
        return super().response_action(request, queryset, *more)


def bounded(page: type[ModelAdmin[Any]]) -> type[ModelAdmin[Any]]:
    """A page of the administration whose list is an OfferedList, under the same name."""
    kind: Any = type(page)
    made: Any = kind(page.__name__, (_Bounded, page), {"__module__": page.__module__, "__doc__": page.__doc__})
    return made  # type: ignore[no-any-return]  # made of it
