"""Rules on alerts in the administration: the fields of the page of alerts, what is wrong said at its field, only the
owner's targets and lists, and switched on as well as off."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model

from analytics.alerts.judging import conditions
from marketdata.models import AlertRule, AlertTarget, Client, Symbol, Watchlist
from tests.integration.serving import serving
from tests.integration.test_roles import browser_of, person

__all__ = ["serving"]

RULES = "/admin/marketdata/alertrule/"
KINDS = [
    ("price", {"direction": "crossing", "level": "70,000.5", "band": ""},
     {"direction": "crossing", "level": "70000.5"}),
    ("change", {"direction": "below", "level": "-3", "band": "0.5"},
     {"direction": "below", "level": "-3", "band": "0.5"}),
    ("limit", {"direction": "above"}, {"direction": "above"}),
    ("volume", {"level": "2.5"}, {"level": "2.5"}),
    ("volume", {"level": "2.5", "minutes": "5"}, {"level": "2.5", "minutes": "5"}),
    ("status", {"status": "vi"}, {"status": "vi"}),
    ("stale", {"seconds": "60"}, {"seconds": "60"}),
    ("gap", {"seconds": "0"}, {"seconds": "0"}),
    ("terminal", {"client": "reader", "seconds": "60"}, {"client": "reader", "seconds": "60"}),
    ("alarm", {"code": "backup_overdue"}, {"code": "backup_overdue"}),
    ("queue", {"queue": "raw_market_data", "level": "1,000", "band": "10", "seconds": "30"},
     {"queue": "raw_market_data", "level": "1000", "band": "10", "seconds": "30"}),
]  # fmt: skip


@pytest.fixture
def boss(serving):
    Client.objects.filter(name="reader").update(may_send=True)
    return get_user_model().objects.create_superuser("boss")


def entered(owner, kind="price", **other):
    """A form as a browser sends it: fields of other kinds, which the script hides, go along as they are."""
    left = {"direction": "below", "level": "1", "band": "", "client": "", "code": "", "status": "", "queue": "",
            "minutes": "", "seconds": "99"}  # fmt: skip
    plain = {"owner": owner.pk, "name": "mine", "kind": kind, "symbols": "005930", "watchlist": "", "market": "",
             "feed": "", "cooldown_s": "60", "quiet_from": "", "quiet_until": "", "enabled": "on"}  # fmt: skip
    return plain | left | other


def complaints(page):
    return {name: list(told) for name, told in page.context["adminform"].form.errors.items()}


@pytest.mark.parametrize(("kind", "fields", "stored"), KINDS)
def test_a_rule_of_each_kind_is_made_of_its_fields(boss, kind, fields, stored):
    browser = browser_of(boss)

    answer = browser.post(f"{RULES}add/", entered(boss, kind, **fields))

    assert answer.status_code == 302, complaints(answer)
    made = AlertRule.objects.get()
    of_system = kind in conditions.OF_THE_SYSTEM
    assert (made.kind, made.parameters, made.symbols) == (kind, stored, [] if of_system else ["005930"])
    shown = browser.get(f"{RULES}{made.pk}/change/")
    form = shown.context["adminform"].form
    held = {name: str(form[name].value() or "") for name in conditions.members(conditions.Kind(kind))}
    assert {name: text for name, text in held.items() if text} == stored
    again = browser.post(f"{RULES}{made.pk}/change/", entered(boss, kind, **fields))
    assert again.status_code == 302
    assert AlertRule.objects.get().revision == 1  # nothing of it was changed
    assert browser.get(RULES).status_code == 200


def test_every_kind_was_tried():
    assert {kind for kind, *_ in KINDS} == set(conditions.Kind)


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"level": "seven"}, "level"), ({"direction": ""}, "direction"), ({"band": "-1"}, "band"),
        ({"symbols": "005930, NOBODY"}, "symbols"), ({"symbols": ""}, "symbols"), ({"name": "a\u2028b"}, "name"),
        ({"quiet_from": "22:00"}, "quiet_from"), ({"kind": "queue", "queue": "", "level": "1"}, "queue"),
        ({"kind": "alarm", "code": "no_such_alarm"}, "code"), ({"kind": "terminal", "client": "nobody"}, "client"),
        ({"kind": "stale", "seconds": "1"}, "seconds"), ({"kind": "stale", "symbols": "", "market": "US"}, "market"),
        ({"kind": "volume", "minutes": "31"}, "minutes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_field(boss, wrong, field):
    answer = browser_of(boss).post(f"{RULES}add/", entered(boss) | wrong)

    assert answer.status_code == 200
    assert set(complaints(answer)) == {field}
    assert not AlertRule.objects.exists()


@pytest.mark.once
def test_targets_and_lists_are_the_owners(boss):
    other = person("viewer", "other")
    targets = {one.username: AlertTarget.objects.create(owner=one, name=one.username, kind="email", sealed="x")
               for one in (boss, other)}  # fmt: skip
    lists = {one.username: Watchlist.objects.create(user=one, name="l", symbols=["005930"]) for one in (boss, other)}
    browser = browser_of(boss)

    refused = browser.post(f"{RULES}add/", entered(boss, targets=[targets["other"].pk]))
    foreign = browser.post(f"{RULES}add/", entered(boss, symbols="", watchlist=lists["other"].pk))
    empty = browser.get(f"{RULES}add/").context["adminform"].form
    offered = empty.fields
    assert (empty["owner"].value(), empty["symbols"].value()) == (boss.pk, "")
    made = browser.post(
        f"{RULES}add/", entered(other, symbols="", watchlist=lists["other"].pk, targets=[targets["other"].pk])
    )

    assert set(complaints(refused)) == {"targets"}
    assert set(complaints(foreign)) == {"watchlist"}
    assert [list(offered[name].queryset) for name in ("targets", "watchlist")] == [[targets["boss"]], [lists["boss"]]]
    assert made.status_code == 302, complaints(made)
    rule = AlertRule.objects.get()
    assert (list(rule.targets.all()), rule.watchlist) == ([targets["other"]], lists["other"])
    moved = browser.post(f"{RULES}{rule.pk}/change/", entered(boss, targets=[targets["other"].pk]))
    assert moved.status_code == 302, complaints(moved)  # the targets of the owner before are not the new one's
    rule.refresh_from_db()
    assert (rule.owner, list(rule.targets.all())) == (boss, [])


def test_rules_are_switched_on_and_off_and_what_cannot_be_judged_any_more_says_why(boss):
    sound, gone = (AlertRule.objects.create(owner=boss, name=name, kind="limit", parameters={"direction": "above"},
                                            symbols=[symbol], enabled=False)
                   for name, symbol in (("sound", "005930"), ("gone", "000660")))  # fmt: skip
    Symbol.objects.filter(code="000660").delete()
    browser = browser_of(boss)
    given = {"_selected_action": [sound.pk, gone.pk]}

    on = browser.post(RULES, given | {"action": "switch_on"}, follow=True)
    enabled = dict(AlertRule.objects.values_list("name", "enabled"))
    noted = [entry.get_change_message() for entry in LogEntry.objects.filter(content_type__model="alertrule")]
    browser.post(RULES, given | {"action": "switch_off"})

    assert enabled == {"sound": True, "gone": False}
    assert noted == ["switched on"]
    warned = [str(one) for one in on.context["messages"]]
    assert warned == ["gone: not changed. symbols: has 000660, which is not registered", "1 rules changed."]
    assert not AlertRule.objects.filter(enabled=True).exists()
    assert AlertRule.objects.get(name="sound").revision == 3


@pytest.mark.once
def test_who_may_only_look_reads_the_condition_in_words(boss):
    rule = AlertRule.objects.create(
        owner=boss, name="r", kind="queue", symbols=[],
        parameters={"queue": "backups", "level": "5", "band": "1", "seconds": "30"},
    )  # fmt: skip
    browser = browser_of(person("operator"))

    for address in (RULES, f"{RULES}{rule.pk}/change/"):
        assert "5 band 1 backups · backups for 30 s" in browser.get(address).text, address
