"""Named keys: what each may read, how long, and how one is replaced and ended."""

import datetime
from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client as Browser
from django.utils import timezone

from api.auth import access, authentication
from api.stream import socket_logins
from api.stream.subscriber import Identity
from marketdata.models import ApiKey, Client
from marketdata.reference import api_keys, credentials
from tests.integration.serving import beside, hub, serving

__all__ = ["hub", "serving"]

NOW = datetime.datetime.now(datetime.UTC)
KRX, OTHER = "/v2/stocks/005930/trades", "/v2/stocks/005930/trades?feed=unified"


def headers(key, secret):
    return {authentication.KEY_HEADER: key.key_id, authentication.SECRET_HEADER: secret}


def printed(*command):
    out = StringIO()
    call_command("apikeys", *command, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.mark.once
@pytest.mark.parametrize("path", [KRX, "/v2/stocks/trades?symbols=005930", "/v2/stocks/bars?symbols=005930",
                                  "/v2/stocks/005930/bars", "/v2/stocks/snapshots?symbols=005930"])  # fmt: skip
def test_a_key_reads_the_feeds_of_its_scope_and_no_other(serving, path):
    key, secret = api_keys.issue(name="notebook", client=serving.reader, feeds="krx")
    other, other_secret = api_keys.issue(name="sheet", client=serving.reader, feeds="unified sim*")

    assert serving.get(path, headers=headers(key, secret)).status_code == 200
    refused = serving.get(path, headers=headers(other, other_secret))
    assert refused.status_code == 403
    assert refused.json()["code"] == 40310002
    assert "krx" in refused.json()["message"]
    assert (
        serving.get(f"{path}{'&' if '?' in path else '?'}feed=unified", headers=headers(key, secret)).status_code == 403
    )


@pytest.mark.once
def test_a_key_reads_no_more_than_its_owner_and_what_has_every_feed_asks_for_all_of_them(serving):
    key, secret = api_keys.issue(name="notebook", client=serving.reader)
    assert serving.get(OTHER, headers=headers(key, secret)).status_code == 200
    assert serving.get("/v2/status/latest", headers=headers(key, secret)).status_code in (200, 503)  # no ingest server

    Client.objects.filter(pk=serving.reader.pk).update(read_feeds="krx")
    authentication.forget()

    assert serving.get(KRX, headers=headers(key, secret)).status_code == 200
    assert serving.get(OTHER, headers=headers(key, secret)).status_code == 403
    assert serving.get(OTHER).status_code == 403  # the client's own key
    assert serving.get("/v2/status/latest", headers=headers(key, secret)).status_code == 403


def test_a_new_secret_works_beside_the_old_one_until_the_overlap_ends(serving):
    key, first = api_keys.issue(name="notebook", client=serving.reader)

    second = api_keys.rotate(key, datetime.timedelta(hours=1), NOW)

    assert credentials.verify(key.key_id, first) == credentials.verify(key.key_id, second) == key
    ApiKey.objects.update(previous_until=NOW)
    assert credentials.verify(key.key_id, first) is None
    assert credentials.verify(key.key_id, second) == key
    third = api_keys.rotate(key, datetime.timedelta(), NOW)
    assert credentials.verify(key.key_id, second) is None
    assert credentials.verify(key.key_id, third) == key


def test_a_key_that_has_ended_was_revoked_or_whose_owner_is_gone_lets_nobody_in(serving):
    person = get_user_model().objects.create_user("kim", is_staff=True)
    keys = [api_keys.issue(name=f"key {number}", user=person) for number in range(3)]
    assert all(serving.get(KRX, headers=headers(*one)).status_code == 200 for one in keys)

    ApiKey.objects.filter(pk=keys[0][0].pk).update(expires_at=NOW)
    assert api_keys.revoke(keys[1][0], NOW)
    assert not api_keys.revoke(keys[1][0], NOW)
    authentication.forget()

    assert [serving.get(KRX, headers=headers(*one)).status_code for one in keys] == [401, 401, 200]
    get_user_model().objects.update(is_active=False)
    authentication.forget()
    assert serving.get(KRX, headers=headers(*keys[2])).status_code == 401


@pytest.mark.once
def test_a_key_that_no_one_has_and_a_wrong_secret_are_refused(serving):
    key, secret = api_keys.issue(name="notebook", client=serving.reader)

    assert serving.get(KRX, headers=headers(key, "wrong")).status_code == 401
    key.key_id = ApiKey.PREFIX + "\0"
    assert serving.get(KRX, headers=headers(key, secret)).status_code == 401


def test_the_last_use_is_written_once_a_minute(serving):
    key, secret = api_keys.issue(name="notebook", client=serving.reader)

    serving.get(KRX, headers=headers(key, secret))

    first = ApiKey.objects.get().last_used_at
    assert first is not None
    authentication.forget()
    serving.get(KRX, headers=headers(key, secret))
    assert ApiKey.objects.get().last_used_at == first
    ApiKey.objects.update(last_used_at=NOW - datetime.timedelta(minutes=2))
    authentication.forget()
    serving.get(KRX, headers=headers(key, secret))
    assert ApiKey.objects.filter(last_used_at__gt=NOW - datetime.timedelta(minutes=1)).exists()


@pytest.mark.once
def test_a_key_has_a_limit_and_a_count_of_its_own(serving):
    key, secret = api_keys.issue(name="notebook", client=serving.reader, rate_limit=2)

    answers = [serving.get("/v2/symbols", headers=headers(key, secret)) for _ in range(3)]

    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[0]["X-RateLimit-Limit"] == "2"
    assert serving.get("/v2/symbols").status_code == 200


@pytest.mark.once
async def test_a_socket_follows_the_feeds_of_its_key_only(serving, hub):
    key, secret = await beside(lambda: api_keys.issue(name="notebook", client=serving.reader, feeds="krx"))
    login = {"action": "auth", "key": key.key_id, "secret": secret}

    async with serving.socket("krx") as socket:
        await socket.say(**login)
        assert (await socket.subscribe(trades=["005930"]))["trades"] == ["005930"]
    async with serving.socket("unified") as socket:
        await socket.say(**login)
        heard, code = await socket.closed()

    assert (heard[-1]["code"], code) == (409, 4409)


@pytest.mark.once
def test_sockets_of_a_key_that_was_revoked_or_narrowed_are_found(serving):
    kept, gone, narrowed = [
        api_keys.issue(name=name, client=serving.reader)[0] for name in ("kept", "gone", "narrowed")
    ]
    open_ones = [(Identity(*access.name_of(key)), "krx") for key in (kept, gone, narrowed)]
    assert socket_logins.refusals(open_ones) == {}

    api_keys.revoke(gone, NOW)
    ApiKey.objects.filter(pk=narrowed.pk).update(feeds="sim")

    assert {one: code for one, (code, _) in socket_logins.refusals(open_ones).items()} == {
        open_ones[1]: 402,
        open_ones[2]: 409,
    }


@pytest.mark.once
def test_the_admin_issues_rotates_and_revokes_and_the_log_has_each_without_a_secret(serving):
    boss = Browser()
    boss.force_login(get_user_model().objects.create_superuser("boss"))
    LogEntry.objects.all().delete()
    form = {"name": "notebook", "client": serving.reader.pk, "feeds": "krx"}

    issued = boss.post("/admin/marketdata/apikey/add/", form).content.decode()
    key = ApiKey.objects.get()
    rotated = boss.post(f"/admin/marketdata/apikey/{key.pk}/rotate/", {"overlap_h": "1"}).content.decode()
    secrets = [text.split('id="secret">')[1].split("<")[0] for text in (issued, rotated)]

    assert [credentials.verify(key.key_id, one) for one in secrets] == [key, key]
    boss.post("/admin/marketdata/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    assert credentials.verify(key.key_id, secrets[1]) is None
    told = [entry.get_change_message() for entry in LogEntry.objects.order_by("id")]
    assert told == ["Added.", "secret renewed; the one of before works for 1 h", "revoked"]
    pages = "".join(boss.get(f"/admin/{page}").text for page in (
        "marketdata/apikey/", f"marketdata/apikey/{key.pk}/change/", "admin/logentry/",
    ))  # fmt: skip
    assert "notebook" in pages
    assert not any(secret in pages for secret in secrets)
    assert boss.post("/admin/marketdata/apikey/add/", {"name": "nobody's", "feeds": "krx"}).status_code == 200
    assert boss.post("/admin/marketdata/apikey/add/", {**form, "name": "x", "feeds": "k-x"}).status_code == 200
    assert boss.post(f"/admin/marketdata/apikey/{key.pk}/rotate/", {"overlap_h": "9999"}).status_code == 200
    assert ApiKey.objects.count() == 1


@pytest.mark.once
def test_a_command_does_the_same(serving):
    issued = printed("issue", "notebook", "--client", "reader", "--limit", "5")
    secret = issued.split()[-1]
    key = ApiKey.objects.get()

    assert credentials.verify(key.key_id, secret) == key
    assert printed("rotate", key.key_id, "--overlap-h", "0").splitlines()[1].split() == ["key", "id", key.key_id]
    assert credentials.verify(key.key_id, secret) is None
    printed("revoke", key.key_id)
    assert key.key_id in printed("list")
    assert "revoked" in printed("list")
    for wrong in (
        ["revoke", key.key_id], ["revoke", "NOBODY"], ["issue", "x", "--user", "nobody"],
        ["issue", "notebook", "--client", "reader"], ["issue", "y", "--client", "reader", "--expires", "2026-13-01"],
    ):  # fmt: skip
        with pytest.raises(CommandError):
            printed(*wrong)


@pytest.mark.once
def test_a_ticket_of_a_key_opens_what_the_key_may_read(serving):
    key, secret = api_keys.issue(
        name="notebook", client=serving.reader, expires_at=timezone.now() + datetime.timedelta(1)
    )
    ticket = Browser().post("/v2/stream/ticket", headers=headers(key, secret)).json()["ticket"]

    assert socket_logins.by_ticket(ticket, "127.0.0.1") == Identity("key", key.pk)

    ticket = Browser().post("/v2/stream/ticket", headers=headers(key, secret)).json()["ticket"]
    api_keys.revoke(key, NOW)
    assert socket_logins.by_ticket(ticket, "127.0.0.1") is None
