"""Export and import of reference data in the administration: a file is shown as what it would change, and applied only
as it was shown. Reading and writing of files is `marketdata.reference.sheets`."""

from __future__ import annotations

import hashlib
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.contrib.contenttypes.models import ContentType
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.text import get_valid_filename
from django.utils.translation import gettext_lazy as _

from marketdata.models import AuditEntry
from marketdata.reference import sheets
from marketdata.reference.sheets import Plan, Sheet, SheetError, Verdict

MOST_SHOWN = 300  # lines of each kind on the page; the file of the preview has all
MOST_EXPORTED = 100_000
PREVIEW_S = 3600
_SALT = "api.admin.sheets"


class FileForm(forms.Form):
    file = forms.FileField(
        label=_("CSV file"),
        help_text=_("As Excel saves it: UTF-8 or CP949, the names of the columns in the first line."),
    )


class SheetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    """A list that is exported and imported: `sheet` says which columns a file has. Who may see the list exports it; who
    may add or change imports, each line only as far as he may."""

    sheet: Sheet
    change_list_template = "api/admin/sheet_list.html"

    def get_urls(self) -> list[URLPattern]:
        name = f"marketdata_{self.opts.model_name}"
        return [
            path("export/", self.admin_site.admin_view(self.export), name=f"{name}_export"),
            path("import/", self.admin_site.admin_view(self.import_), name=f"{name}_import"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        name = f"admin:marketdata_{self.opts.model_name}"
        shown = {
            "export_address": reverse(f"{name}_export"),
            "import_address": reverse(f"{name}_import") if self._may(request) != (False, False) else "",
        }
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def _may(self, request: HttpRequest) -> tuple[bool, bool]:
        return self.has_add_permission(request), self.has_change_permission(request)

    def export(self, request: HttpRequest) -> HttpResponse:
        """What the list shows, with its filters and its search. PermissionDenied for who may not see it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            rows = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:  # the list says of such an address what its own does
            return redirect(reverse(f"admin:marketdata_{self.opts.model_name}_changelist") + f"?{ERROR_FLAG}=1")
        fields = self.sheet.fields()
        found = list(rows.values_list(*(field.attname for field in fields.values()))[: MOST_EXPORTED + 1])
        if len(found) > MOST_EXPORTED:
            text = _("More than %(most)d rows: choose fewer by the filters.") % {"most": MOST_EXPORTED}
            messages.error(request, text)
            return redirect(f"admin:marketdata_{self.opts.model_name}_changelist")
        return _file(self.sheet.name, sheets.write(tuple(fields), found))

    def import_(self, request: HttpRequest) -> HttpResponse:
        """Asks for a file, shows what it would change, and applies that. PermissionDenied for who may do neither."""
        may_add, may_change = self._may(request)
        if not (may_add or may_change):
            raise PermissionDenied
        form = FileForm(request.POST, request.FILES) if request.method == "POST" else FileForm()
        if request.method == "POST" and request.POST.get("token"):
            return self._told_again(request)
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data["file"]
            try:
                text = sheets.decoded(given.read(sheets.MOST_BYTES + 1), given.size)
                made = sheets.plan(self.sheet, text, may_add=may_add, may_change=may_change)
            except SheetError as error:
                form.add_error("file", str(error))
            else:
                return self._preview(request, made, text, get_valid_filename(given.name)[:80])
        return self._page(request, form=form)

    def _told_again(self, request: HttpRequest) -> HttpResponse:
        """A preview that comes back: as a file, or to be applied."""
        try:
            who, name, file, text, digest = signing.loads(request.POST["token"], salt=_SALT, max_age=PREVIEW_S)
        except signing.BadSignature:
            who = name = None
        if (who, name) != (request.user.pk, self.sheet.name):
            messages.error(request, _("That preview is over: choose the file again."))
            return self._page(request, form=FileForm())
        may_add, may_change = self._may(request)
        if "report" in request.POST:
            made = sheets.plan(self.sheet, text, may_add=may_add, may_change=may_change)
            return _file(f"{self.sheet.name}-preview", _report(made))
        try:
            with transaction.atomic():
                made = sheets.plan(self.sheet, text, may_add=may_add, may_change=may_change, lock=True)
                if made.digest == digest:
                    sheets.apply(made)
                    self._note(request, made, file, text)
        except IntegrityError:  # somebody added a row of the same key between our look and our write
            made = sheets.plan(self.sheet, text, may_add=may_add, may_change=may_change)
            digest = ""
        if made.digest != digest:
            messages.warning(
                request,
                _("Nothing was changed: the table is no longer as it was shown. This is what would change now."),
            )
            return self._preview(request, made, text, file)
        counts = {"added": len(made.of(Verdict.ADDED)), "changed": len(made.of(Verdict.CHANGED))}
        messages.success(request, _("%(added)d added, %(changed)d changed.") % counts)
        return redirect(f"admin:marketdata_{self.opts.model_name}_changelist")

    def _note(self, request: HttpRequest, made: Plan, file: str, text: str) -> None:
        """In the history of each row and in the log of what was asked for, with what was imported."""
        user = int(request.user.pk or 0)
        now, kind = timezone.now(), ContentType.objects.get_for_model(self.sheet.model)
        entries = [
            LogEntry(
                action_time=now, user_id=user, content_type=kind, object_id=str(line.row.pk),
                object_repr=str(line.row)[:200], action_flag=ADDITION if line.verdict is Verdict.ADDED else CHANGE,
                change_message=f"{file}:{line.number} "
                + ", ".join(f"{one.field} {one.before!r} → {one.after!r}" for one in line.changes),
            )
            for verdict in (Verdict.ADDED, Verdict.CHANGED)
            for line in made.of(verdict)
        ]  # fmt: skip
        LogEntry.objects.bulk_create(entries, batch_size=500)
        counts = " ".join(f"{verdict} {len(made.of(verdict))}" for verdict in Verdict)
        AuditEntry.objects.create(
            actor=request.user.get_username()[:100], action=f"import {self.sheet.name}",
            text=f"{file} sha256 {hashlib.sha256(text.encode()).hexdigest()}", outcome=counts,
        )  # fmt: skip

    def _preview(self, request: HttpRequest, made: Plan, text: str, file: str) -> HttpResponse:
        token = signing.dumps(
            [request.user.pk, self.sheet.name, file, text, made.digest], salt=_SALT, compress=True
        )  # fmt: skip
        shown = {verdict.value: made.of(verdict) for verdict in Verdict}
        if len(token) > settings.WEB_MAX_BODY_BYTES - 4096:  # what could not be sent back is not offered
            form = FileForm()
            form.full_clean()
            form.add_error(None, str(_("The file is too large to be shown and applied at once: import it in parts.")))
            return self._page(request, form=form)
        return self._page(
            request, form=FileForm(), token=token, file=file, made=made,
            counts={name: len(lines) for name, lines in shown.items()},
            lines={name: lines[:MOST_SHOWN] for name, lines in shown.items()}, new_rows=made.new_rows()[:MOST_SHOWN],
            most=MOST_SHOWN,
            applies=bool(shown["added"] or shown["changed"]),
        )  # fmt: skip

    def _page(self, request: HttpRequest, **context: Any) -> HttpResponse:
        title = _("Import: %(name)s") % {"name": self.opts.verbose_name_plural}
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        shared["import_address"] = reverse(f"admin:marketdata_{self.opts.model_name}_import")
        shared |= {"columns": self.sheet.columns, "key": self.sheet.key, "most_rows": sheets.MOST_ROWS}
        return TemplateResponse(request, "api/admin/import.html", shared | context)


def _report(made: Plan) -> bytes:
    """Every line of a preview, a row for each field that changes."""
    rows: list[tuple[Any, ...]] = []
    for line in made.lines:
        told = [(one.field, one.before, one.after, "") for one in line.changes]
        told += [("", "", "", reason) for reason in line.reasons]
        rows += [(line.number, line.key, line.verdict.value, *one) for one in told or [("", "", "", "")]]
    return sheets.write(("line", "key", "verdict", "field", "before", "after", "reason"), rows)


def _file(name: str, content: bytes) -> HttpResponse:
    response = HttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="naru-{name}.csv"'
    return response
