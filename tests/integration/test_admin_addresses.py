"""Whatever stands in the address of a page of the administration is answered or refused, on every database."""

import contextlib

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db.models import CharField, DateTimeField, TextField
from django.test import Client as Browser
from django.urls import reverse
from django.utils.http import urlencode

from api.admin import stored
from marketdata.models import AdjustmentFactor, AlertRule, AlertTarget, Gap, Symbol, VoidedTick, VoidOrder
from tests.integration.serving import serving

__all__ = ["serving"]

HUGE, EARLY, FIGURE = "9" * 30, "0001-01-01", "\N{SLIGHTLY SMILING FACE}"
SEARCHES = ["a " * 600, '"', "%_\\(", FIGURE, f"{HUGE}/{HUGE}"]
MOMENT = f"{EARLY} 00:00:00+09:00"


@pytest.fixture
def browser(serving):
    person = get_user_model().objects.create_superuser("boss", "boss@example.com", "a sound password")
    made = Browser(raise_request_exception=False)
    made.force_login(person)
    return made


def lists():
    return [
        (page, reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
        for model, page in admin.site._registry.items()
    ]


def odd_questions(page, shown):
    """What an address may have of a list: its search, its pages, the fields it shows and the filters it offers."""
    asked = [{"q": text} for text in SEARCHES]
    asked += [{"p": HUGE}, {"p": "9" * 5_000}, {"p": "-1"}, {"o": f"{HUGE}.-1.x"}, {"all": "1"}, {"_facets": "1"}]
    key = page.opts.pk.name
    asked += [{f"{key}{how}": HUGE} for how in ("", "__exact", "__in", "__gt", "__year", "__no")]
    asked += [{f"{key}__regex": "("}, {f"{key}__range": "1"}, {"nothing": "1"}]
    for name in {*map(str, page.list_display), *map(str, flatten_fieldsets(page.get_fieldsets(shown.wsgi_request)))}:
        with contextlib.suppress(FieldDoesNotExist):
            is_text = isinstance(page.opts.get_field(name), CharField | TextField)
            asked.append({name: FIGURE if is_text else HUGE})
    for spec in shown.context_data["cl"].filter_specs:
        values = [HUGE, MOMENT if isinstance(getattr(spec, "field", None), DateTimeField) else EARLY, FIGURE]
        asked += [{name: value} for name in spec.expected_parameters() for value in values]
    day = page.date_hierarchy
    if day:
        asked += [{f"{day}__year": year} for year in ("9999", "0", "1", HUGE, "x")]
        asked += [{f"{day}__year": "9999", f"{day}__month": "12"}, {f"{day}__month": "13"}]
        asked += [{f"{day}__year": "9999", f"{day}__month": "12", f"{day}__day": "31"}]
    return asked


def test_every_list_answers_or_refuses_whatever_its_address_has(browser):
    broken = []

    for page, address in lists():
        shown = browser.get(address)
        assert shown.status_code == 200, address
        for question in odd_questions(page, shown):
            answer = browser.get(address, question)
            if answer.status_code >= 500:
                broken.append((address, urlencode(question)[:80], answer.status_code))

    assert broken == []


def test_every_page_of_a_row_answers_whatever_row_its_address_names(browser):
    broken = []

    for page, _address in lists():
        for view in ("change", "history", "delete"):
            for key in (HUGE, "x", "9" * 5_000, FIGURE):
                address = reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_{view}", args=[key])
                answer = browser.get(address)
                if answer.status_code >= 500:
                    broken.append((address[:80], answer.status_code))

    assert broken == []


def test_every_table_of_what_is_stored_answers_whatever_is_looked_for(browser):
    broken = []

    for name in stored.TABLES:
        for symbol in ("005930", FIGURE, "\uc0bc\uc131", "x" * 25):
            for until in ("", "0001-01-01", "9999-12-31 23:59:59", "x"):
                for at_us, row_id in (("", ""), (str(1 << 62), str(1 << 62)), (HUGE, "-1"), ("0", "")):
                    asked = {"symbol": symbol, "feed": "krx", "until": until, "at_us": at_us, "row_id": row_id}
                    asked |= {"kind": FIGURE} if (symbol, until) == ("005930", "") else {}
                    answer = browser.get(f"/admin/stored/{name}/", asked)
                    if answer.status_code >= 500:
                        broken.append((name, asked, answer.status_code))

    assert broken == []


def test_every_action_answers_whatever_rows_are_chosen(browser):
    broken = []

    for page, address in lists():
        for action in page.get_actions(browser.get(address).wsgi_request):
            for chosen in ([HUGE], ["x"], [f"-{HUGE}", "9" * 5_000], [FIGURE]):
                answer = browser.post(address, {"action": action, "_selected_action": chosen})
                if answer.status_code >= 500:
                    broken.append((address, action, chosen[0][:40], answer.status_code))

    assert broken == []


def test_the_form_of_a_rule_answers_whatever_owner_list_and_targets_it_names(browser):
    rule = {"name": "a", "kind": "price", "direction": "above", "level": "1", "symbols": "005930", "cooldown_s": "0"}
    me = str(get_user_model().objects.get().pk)
    said = []

    for owner in (me, HUGE, "9" * 5_000, "x", "\u0663"):
        said.append(browser.get("/admin/marketdata/alertrule/add/", {"owner": owner}).status_code)
        for other in ({"targets": [HUGE]}, {"targets": ["x"]}, {"watchlist": HUGE}, {"market": HUGE}):
            answer = browser.post("/admin/marketdata/alertrule/add/", {**rule, "owner": owner, **other})
            said.append(answer.status_code)

    assert said == [200] * len(said)  # the form again, with what is wrong
    assert not AlertRule.objects.exists()


@pytest.mark.once
def test_a_list_is_asked_for_what_it_shows_and_for_nothing_behind_it(browser):
    owner = get_user_model().objects.get()
    AlertTarget.objects.create(owner=owner, name="chat", kind="chat", sealed="hidden", shown="https://chat")

    by_shown = browser.get("/admin/marketdata/alerttarget/", {"name": "chat"})
    by_hidden = browser.get("/admin/marketdata/alerttarget/", {"sealed__startswith": "h"})
    by_part = browser.get("/admin/marketdata/alerttarget/", {"name__startswith": "c"})

    assert (by_shown.status_code, by_hidden.status_code, by_part.status_code) == (200, 400, 400)
    assert by_shown.context_data["cl"].result_count == 1


@pytest.mark.once
def test_gaps_and_voided_ticks_are_listed_of_one_series_of_a_day(browser):
    order = VoidOrder.objects.create(selection="{}", reason="wrong", ordered_by="boss")
    for number, symbol in enumerate(("005930", "000660", "")):
        given = {"symbol": symbol, "feed": "krx", "trade_date": "2026-03-16"}
        Gap.objects.create(batch=number, from_us=1, to_us=2, rows=1, reason="spool_damaged", **given)
        VoidedTick.objects.create(tick_id=number, order=order, source_id=1, time_us=1, record="{}", **given)

    asked = {"trade_date": "2026-03-16", "feed": "krx", "symbol": "005930"}
    shown = [browser.get(f"/admin/marketdata/{name}/", asked).context_data["cl"] for name in ("gap", "voidedtick")]

    assert [[row.symbol for row in one.result_list] for one in shown] == [["005930"], ["005930"]]


@pytest.mark.once
def test_a_list_of_days_goes_through_years_and_months(browser):
    for symbol, date in (("005930", "2026-11-20"), ("000660", "2025-01-02")):
        AdjustmentFactor.objects.create(symbol=symbol, ex_date=date, kind="split", old_rate=1, new_rate=2)

    def found(**asked):
        shown = browser.get("/admin/marketdata/adjustmentfactor/", asked)
        return [row.symbol for row in shown.context_data["cl"].result_list]

    assert found(ex_date__year=2026) == found(ex_date__year=2026, ex_date__month=11) == ["005930"]
    assert found(ex_date__year=2025, ex_date__month=1, ex_date__day=2) == ["000660"]
    assert found(ex_date__year=2025, ex_date__month=2) == []
    assert browser.get("/admin/marketdata/adjustmentfactor/", {"ex_date__year": 9999}).status_code == 302


@pytest.mark.once
def test_a_search_that_is_too_long_finds_nothing_and_says_why(browser):
    Symbol.objects.filter(code="005930").update(name="zq")

    short = browser.get("/admin/marketdata/symbol/", {"q": "zq " * 20})
    long = browser.get("/admin/marketdata/symbol/", {"q": "zq " * 21})
    offered = browser.get(
        "/admin/autocomplete/",
        {"app_label": "marketdata", "model_name": "alertrule", "field_name": "owner", "term": "b " * 600},
    )

    assert short.context_data["cl"].result_count == 1
    assert long.context_data["cl"].result_count == 0
    assert "A search has at most 20 words and 200 letters." in long.text
    assert (offered.status_code, offered.json()["results"]) == (200, [])
