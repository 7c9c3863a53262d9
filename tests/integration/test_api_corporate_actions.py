"""Corporate actions by REST, as the dialect's clients read them."""

import base64
import datetime
from decimal import Decimal

import pytest

from api.rest import paging
from marketdata.models import AdjustmentFactor
from marketdata.storage import TickKey
from tests.integration.serving import serving

__all__ = ["serving"]

PATH = "/v1/corporate-actions"
Kind = AdjustmentFactor.Kind


@pytest.fixture
def entered(serving):
    """One of each type, a day after the other; the last two have the same ex-date."""
    given = [
        ("005930", Kind.SPLIT, "1", "50", None),
        ("005930", Kind.SPLIT, "10", "1", None),
        ("000660", Kind.STOCK_DIVIDEND, "100", "105", None),
        ("000660", Kind.DIVIDEND, "69638", "70000", "361.5"),
        ("000660", Kind.DIVIDEND, "69639", "70000", None),
        ("035420", Kind.SPIN_OFF, "3", "4", None),
        ("035420", Kind.RIGHTS, "9", "10", None),
    ]
    for number, (symbol, kind, old, new, cash) in enumerate(given):
        AdjustmentFactor.objects.create(
            symbol=symbol, ex_date=datetime.date(2026, 3, 1 + min(number, 5)), kind=kind, old_rate=Decimal(old),
            new_rate=Decimal(new), cash=cash and Decimal(cash), source="KIND",
        )  # fmt: skip
    return serving


def lists(serving, **query):
    return {name: len(rows) for name, rows in serving.read(PATH, **query)["corporate_actions"].items()}


def rows(serving, **query):
    """Every action, page by page."""
    token: dict[str, str] | None = {}
    while token is not None:
        page = serving.read(PATH, **query, **token)
        yield from (one for of_type in page["corporate_actions"].values() for one in of_type)
        token = {"page_token": page["next_page_token"]} if page["next_page_token"] else None


def test_each_kind_is_in_the_list_of_the_dialect_that_its_client_reads(entered):
    client = pytest.importorskip("alpaca.data.models.corporate_actions", reason="alpaca-py is not installed")
    answer = entered.read(PATH)
    actions = client.CorporateActionsSet(answer["corporate_actions"]).data

    assert answer["next_page_token"] is None
    assert answer == entered.read("/v1beta1/corporate-actions")
    (split,), (reverse,), (shares,) = (
        actions[name] for name in ("forward_splits", "reverse_splits", "stock_dividends")
    )
    assert (split.symbol, split.old_rate, split.new_rate, split.ex_date) == ("005930", 1, 50, datetime.date(2026, 3, 1))
    assert (reverse.symbol, reverse.old_rate, reverse.new_rate) == ("005930", 10, 1)
    assert (shares.symbol, shares.rate) == ("000660", 0.05)
    assert [one.rate for one in actions["cash_dividends"]] == [361.5, 361]
    assert [one.source_symbol for one in actions["spin_offs"]] == ["035420"]
    assert [one.source_symbol for one in actions["rights_distributions"]] == ["035420"]
    assert sum(map(len, actions.values())) == 7


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_pages_have_every_action_once_in_the_order_of_ex_dates(entered, sort):
    one_by_one = list(rows(entered, limit=1, sort=sort))
    dates = [one["ex_date"] for one in one_by_one]

    assert dates == sorted(dates, reverse=sort == "desc")
    assert len({one["id"] for one in one_by_one}) == 7
    three_by_three = sorted(one["id"] for one in rows(entered, limit=3, sort=sort))
    assert three_by_three == sorted(one["id"] for one in one_by_one)


def test_they_are_chosen_by_symbol_type_ex_date_and_id(entered):
    assert lists(entered, symbols="005930,035420", types="forward_split,spin_off,name_change") == {
        "forward_splits": 1, "spin_offs": 1,
    }  # fmt: skip
    assert lists(entered, types="reverse_split") == {"reverse_splits": 1}
    assert lists(entered, start="2026-03-02", end="2026-03-03") == {"reverse_splits": 1, "stock_dividends": 1}
    (split,) = entered.read(PATH, types="forward_split")["corporate_actions"]["forward_splits"]
    assert lists(entered, ids=f"{split['id']},00000000-0000-0000-0000-000000000001") == {"forward_splits": 1}
    assert lists(entered, types="cash_merger") == lists(entered, cusips="037833100") == {}


@pytest.mark.once
def test_what_cannot_be_asked_is_told(entered):
    for wrong in ({"types": "split"}, {"ids": "7"}, {"limit": "0"}, {"start": "20260301"}, {"page_token": "x"}):
        assert entered.get(PATH, **wrong).status_code == 400, wrong
    assert entered.get(PATH, start="2026-03-02", end="2026-03-01").status_code == 422
    token = entered.read(PATH, limit=1)["next_page_token"]
    assert entered.get(PATH, sort="desc", page_token=token).json()["code"] == 40010002
    _, asked, *_ = base64.urlsafe_b64decode(token + "==").decode().split("|")
    far = paging.encode_token(TickKey("", 10**12, 1), asked)  # a date that there is not
    assert entered.get(PATH, page_token=far).json()["code"] == 40010002
