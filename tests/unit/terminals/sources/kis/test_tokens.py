"""One token for all: issued by one, read by the others, never twice a minute. Against the simulator, over sockets."""

import asyncio
import errno
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from terminals.sources.kis import network, shared_files
from terminals.sources.kis.answers import KeyRefusedError, TokenTooSoonError, UnavailableError
from terminals.sources.kis.tokens import Kept, Tokens, _Shared
from tests.unit.terminals.sources.kis.conftest import APPKEY, APPSECRET, LONG_S, account_at

ROOT = Path(__file__).resolve().parents[5]
ASK = """
import asyncio, pathlib, sys
from terminals.sources.kis import network
from terminals.sources.kis.credentials import Account, AccountKind
from terminals.sources.kis.tokens import Tokens

async def ask():
    account = Account("main", AccountKind.REAL, sys.argv[1], sys.argv[2], sys.argv[3], "ws://127.0.0.1:1")
    async with network.open_http(account) as http:
        print(await Tokens(account, pathlib.Path(sys.argv[4]), http, within_s=60.0).access_token())

asyncio.run(ask())
"""


def shared(account, folder, http, **options):
    """The tokens of an account in a folder."""
    return Tokens(account, folder, http, within_s=LONG_S, **options)


@pytest.fixture
async def http(account):
    async with network.open_http(account) as opened:
        yield opened


async def test_many_askers_in_one_process_get_one_token(simulator, account, http, tmp_path):
    tokens = shared(account, tmp_path, http)
    others = shared(account, tmp_path, http)

    found = await asyncio.gather(*(one.access_token() for one in (tokens, others) for _ in range(20)))

    assert len(set(found)) == 1
    assert simulator.tokens_issued == 1
    assert simulator.tokens_too_soon == 0


async def test_four_processes_that_start_together_get_one_token(simulator, tmp_path):
    command = [sys.executable, "-c", ASK, APPKEY, APPSECRET, simulator.url, str(tmp_path / "state")]

    running = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(4)]
    outputs = await asyncio.wait_for(asyncio.gather(*(one.communicate() for one in running)), 300)

    found = {out.decode().strip() for out, _ in outputs}
    assert len(found) == 1
    assert found != {""}
    assert simulator.tokens_issued == 1
    assert simulator.tokens_too_soon == 0


async def test_what_is_kept_is_for_its_owner_only(simulator, account, http, tmp_path):
    folder = tmp_path / "state"
    tokens = shared(account, folder, http)

    await tokens.access_token()
    await tokens.approval_key()

    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert not any(APPKEY in file.name for file in folder.iterdir())


async def test_a_token_near_its_end_is_replaced_and_one_with_time_left_is_not(simulator, account, http, tmp_path):
    simulator.token_interval_s = 0.0
    now = time.time()
    first = await shared(account, tmp_path, http, token_interval_s=0.0, wall=lambda: now).access_token()
    simulator.refuse_tokens()

    later = shared(account, tmp_path, http, token_interval_s=0.0, wall=lambda: now + 80_000)
    kept = await later.access_token()
    near_end = shared(account, tmp_path, http, token_interval_s=0.0, wall=lambda: now + 86_000)
    renewed = await near_end.access_token()

    assert kept == first
    assert renewed != first
    assert simulator.tokens_issued == 2


async def test_the_end_told_as_a_time_in_korea_counts_when_it_is_the_earlier(simulator, account, http, tmp_path):
    # The service says expires_in 86400 as well, which would be 1000 seconds later by this machine's clock.
    before = time.time()

    await shared(account, tmp_path, http, wall=lambda: before + 1_000).access_token()

    (file,) = tmp_path.glob("*.token")
    ends_at = json.loads(file.read_text())["ends_at"]
    assert before + 86_400 - 1 <= ends_at <= time.time() + 86_400  # it is told in whole seconds


async def test_a_refused_token_is_renewed_by_the_first_who_says_so(simulator, account, http, tmp_path):
    simulator.token_interval_s = 0.0
    tokens = shared(account, tmp_path, http, token_interval_s=0.0)
    old = await tokens.access_token()
    simulator.refuse_tokens()

    found = await asyncio.gather(*(tokens.access_token(refused=old) for _ in range(10)))

    assert set(found) != {old}
    assert len(set(found)) == 1
    assert simulator.tokens_issued == 2


async def test_a_second_issue_waits_until_the_service_allows_it(simulator, account, http, tmp_path):
    simulator.token_interval_s = 0.2
    tokens = shared(account, tmp_path, http, token_interval_s=0.25)
    old = await tokens.access_token()
    simulator.refuse_tokens()

    new = await tokens.access_token(refused=old)

    assert new != old
    assert simulator.tokens_too_soon == 0


async def test_when_another_machine_was_first_the_minute_is_waited_for(simulator, account, http, tmp_path):
    token = await shared(account, tmp_path / "there", http).access_token()
    here = asyncio.create_task(shared(account, tmp_path / "here", http, token_interval_s=0.2).access_token())
    await asyncio.wait_for(simulator.too_soon.wait(), 300)

    simulator.token_interval_s = 0.0

    assert await asyncio.wait_for(here, 300) == token  # the same one within six hours
    assert simulator.tokens_too_soon == 1


async def test_a_service_that_always_says_too_soon_is_given_up(simulator, account, http, tmp_path):
    await shared(account, tmp_path / "there", http).access_token()

    with pytest.raises(TokenTooSoonError, match="EGW00133"):
        await shared(account, tmp_path / "here", http, token_interval_s=0.05).access_token()

    assert simulator.tokens_too_soon == 3


async def test_a_wrong_secret_ends_it_at_once(simulator, tmp_path):
    account = account_at(simulator.url, appkey="PSx" + "x" * 33)
    async with network.open_http(account) as http:
        with pytest.raises(KeyRefusedError, match="EGW00103"):
            await shared(account, tmp_path, http).access_token()

    assert simulator.tokens_issued == 0


async def test_a_service_that_was_not_reached_was_not_asked(tmp_path, silent_url):
    account = account_at(silent_url)
    async with network.open_http(account) as http:
        tokens = shared(account, tmp_path, http)
        for _ in range(2):  # the second would have to wait a minute
            with pytest.raises(UnavailableError):
                await asyncio.wait_for(tokens.access_token(), 50)


async def test_a_token_that_could_not_be_written_down_is_used_and_no_second_one_is_issued(
    simulator, account, http, tmp_path, monkeypatch, caplog
):
    """The disk fills up between the question and the answer."""
    written = shared_files.replace

    def until_full(path, content):
        if json.loads(content)["value"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written(path, content)

    monkeypatch.setattr(shared_files, "replace", until_full)
    tokens = shared(account, tmp_path, http)

    found = [await tokens.access_token() for _ in range(3)]

    assert found[0]
    assert set(found) == {found[0]}
    assert simulator.tokens_issued == 1
    assert "kis_credential_not_kept" in caplog.text


async def test_a_token_with_minutes_left_is_used_while_the_files_cannot_be_looked_at(
    simulator, account, http, tmp_path, monkeypatch, caplog
):
    wall = [1_000_000.0]
    tokens = shared(account, tmp_path, http, wall=lambda: wall[0])
    tokens._token._known = Kept("kept", wall[0] + 300.0, wall[0] - 80_000.0)

    def held(*_args, **_options):
        raise TimeoutError("another process has the lock")

    monkeypatch.setattr(shared_files, "held", held)

    assert [await tokens.access_token() for _ in range(3)] == ["kept"] * 3
    assert simulator.tokens_issued == 0
    assert caplog.text.count("kis_credential_not_looked_up") == 1
    wall[0] += 301.0
    with pytest.raises(TimeoutError):
        await tokens.access_token()


async def test_a_file_that_vanishes_does_not_make_a_second_issue_within_the_minute(simulator, account, http, tmp_path):
    tokens = shared(account, tmp_path, http, token_interval_s=0.25)
    old = await tokens.access_token()
    (tmp_path / f"{account.key_id}.token").unlink()
    simulator.token_interval_s = 0.2
    simulator.refuse_tokens()

    new = await tokens.access_token(refused=old)

    assert new != old
    assert simulator.tokens_too_soon == 0


async def test_the_minute_between_two_issues_begins_with_the_answer(tmp_path, monkeypatch):
    wall, asked, answered = [1_000_000.0], [], []

    async def issue():
        asked.append(wall[0])
        wall[0] += 5.0
        answered.append(wall[0])
        return Kept(f"token {len(asked)}", wall[0] + 80_000.0, wall[0])

    async def sleep(seconds):
        wall[0] += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    file = tmp_path / "one.token"
    one = _Shared(file, issue, interval_s=60.0, wall=lambda: wall[0])
    old = await one.get("")
    file.unlink()

    assert await one.get(old) == "token 2"
    assert asked[1] - answered[0] >= 60.0


async def test_an_approval_key_is_shared_too(simulator, account, http, tmp_path):
    tokens = shared(account, tmp_path, http)

    found = {await one.approval_key() for one in (tokens, shared(account, tmp_path, http))}

    assert len(found) == 1
    assert set(simulator.approvals) == found


async def test_a_torn_file_is_as_good_as_none(simulator, account, http, tmp_path):
    (tmp_path / f"{account.key_id}.token").write_bytes(b'{"value": "eyJ')

    assert (await shared(account, tmp_path, http).access_token()).startswith("eyJ")
