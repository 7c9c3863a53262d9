"""`python -m terminals check`: each thing that may be in the way is named with what to do about it."""

import contextlib
import io
import socket
import threading
import time

import pytest

from terminals import checkup, command, command_line, login_check, sources, wire
from terminals.connection import Address
from terminals.finding import Finding, Level
from terminals.session import Identity
from terminals.spool import Spool
from tests.unit.terminals import test_tls
from tests.unit.terminals.linking import SECRET
from tests.unit.terminals.server import FakeServer

WHO = Identity("t1", SECRET, "SIMULATOR")
certificate = test_tls.certificate


class ClockServer(FakeServer):
    """Says what time it is after its welcome, `ahead_s` from now."""

    ahead_s = 0.0

    def receive(self, data):
        answer = super().receive(data)
        if isinstance(self.got[-1] if self.got else None, wire.Hello) and answer and not self.refuse:
            answer += wire.Heartbeat(time.time_ns() // 1000 + int(self.ahead_s * 1e6), 0).encode()
        return answer


@contextlib.contextmanager
def serving(fake=None, hello=None):
    """A port where `fake` answers one client after the other; or that says `hello` and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run():
            while True:
                try:
                    connection, _peer = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.sendall(fake.challenge() if fake else hello)
                    while fake and (data := connection.recv(65536)):
                        connection.sendall(fake.receive(data))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield Address("127.0.0.1", listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(300)


def levels(found):
    return [finding.level for finding in found]


def test_a_login_that_works_tells_so_and_leaves_no_batch():
    fake = ClockServer(SECRET)
    with serving(fake) as address:
        found = list(login_check.check(address, WHO))

    assert levels(found) == [Level.GOOD] * 3, found
    assert fake.sequence == []
    hello = fake.got[0]
    assert isinstance(hello, wire.Hello)
    assert (hello.first, hello.last, hello.source) == (1, 0, "SIMULATOR")


@pytest.mark.parametrize("ahead_s", [90.0, -90.0])
def test_a_clock_that_is_off_is_told_with_its_direction(ahead_s):
    fake = ClockServer(SECRET)
    fake.ahead_s = ahead_s
    with serving(fake) as address:
        found = list(login_check.check(address, WHO))

    assert found[-1].level is Level.WRONG
    assert ("-" if ahead_s > 0 else "+") in found[-1].told
    assert "w32tm" in found[-1].remedy


@pytest.mark.parametrize(
    ("fake", "code"),
    [
        (ClockServer("A" * 43), "not_authorised"),
        (ClockServer(SECRET, refuse="source_mismatch"), "source_mismatch"),
        (ClockServer(SECRET, refuse="quota_reached"), "quota_reached"),
        (ClockServer(SECRET, proves_itself=False), "server_proof_wrong"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_login_that_is_refused_is_told_by_its_code_with_what_to_do(fake, code):
    with serving(fake) as address:
        found = list(login_check.check(address, WHO))

    assert levels(found) == [Level.GOOD, Level.WRONG]
    assert code in found[-1].told
    assert found[-1].remedy
    assert SECRET not in str(found)


@pytest.mark.parametrize("hello", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silence", "http"])
def test_another_program_at_the_port_is_told(hello):
    with serving(hello=hello) as address:
        found = list(login_check.check(address, WHO))

    assert levels(found) == [Level.GOOD, Level.WRONG]
    assert "--tls" in found[-1].remedy


def test_a_port_where_nobody_listens_and_a_name_that_nobody_has_are_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and it does not listen
        closed = list(login_check.check(Address(*taken.getsockname()), WHO))
    unknown = list(login_check.check(Address("naru.invalid", 7070, tls=True), WHO))

    assert levels(closed) == levels(unknown) == [Level.WRONG]
    assert closed[0].remedy
    assert "--server" in unknown[0].remedy


def test_plain_text_to_another_machine_is_refused_by_rule():
    found = list(login_check.check(Address("192.0.2.1", 7070), WHO))

    assert levels(found) == [Level.WRONG]
    assert "--tls" in found[0].told


serve = test_tls.serve


def test_a_trusted_certificate_is_told_with_its_last_day_and_an_unknown_one_with_what_to_do(serve, certificate):
    fake = ClockServer(SECRET, binding=wire.proof.certificate_binding(certificate[2]))
    address = Address("127.0.0.1", serve(fake), tls=True, ca_file=str(certificate[0]))

    known = list(login_check.check(address, WHO))
    unknown = list(login_check.check(Address(address.host, address.port, tls=True), WHO))

    assert levels(known) == [Level.GOOD, Level.DOUBTFUL, Level.GOOD, Level.GOOD], known  # it ends tomorrow
    assert levels(unknown) == [Level.WRONG]
    assert "--ca-file" in unknown[0].remedy


def test_a_port_without_tls_is_told():
    with serving(hello=FakeServer(SECRET).challenge()) as address:
        found = list(login_check.check(Address(address.host, address.port, tls=True), WHO))

    assert levels(found) == [Level.WRONG]
    assert found[0].remedy


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def link(tmp_path, monkeypatch):
    monkeypatch.setenv("NARU_KEY", SECRET)
    return ["--client", "t1", "--spool", str(tmp_path / "spool")]


def test_all_is_well_and_the_exit_code_says_so(link, tmp_path, capsys):
    with serving(ClockServer(SECRET)) as address:
        code = command.main(["check", "simulate", "--server", str(address), *link])

    assert code == command.OK
    told = capsys.readouterr().out
    assert told.count("\n[") + told.startswith("[") == 5
    assert SECRET not in told
    assert not (tmp_path / "spool").exists()


def test_one_thing_that_is_wrong_makes_it_fail(link, capsys):
    assert command.main(["check", "simulate", "--server", "127.0.0.1:1", *link]) == command.FAILED
    assert "    → " in capsys.readouterr().out


def test_a_running_terminal_is_left_alone(link, tmp_path, capsys):
    fake = ClockServer(SECRET)
    with serving(fake) as address, contextlib.closing(Spool(tmp_path / "spool")):
        code = command.main(["check", "simulate", "--server", str(address), *link])

    assert code == command.OK
    assert fake.got == []
    assert len(capsys.readouterr().out.splitlines()) == len(("spool", "running", "what to do", "source", "sum"))


def findings(words):
    given, module = command_line.read(words)
    assert module is not None
    return list(checkup.findings(given, module, command._config(given, module)))


def test_a_spool_that_cannot_be_and_one_that_has_too_little_room_are_told(link, tmp_path):
    (tmp_path / "file").touch()
    words = ["check", "simulate", "--server", "127.0.0.1:1", "--client", "t1"]

    impossible = findings([*words, "--spool", str(tmp_path / "file/spool")])
    small = findings([*words, "--spool", str(tmp_path / "spool"), "--spool-mib", str(1 << 24)])

    assert impossible[0].level is Level.WRONG
    assert "--spool" in impossible[0].remedy
    assert small[0].level is Level.DOUBTFUL
    assert "--spool-mib" in small[0].remedy


def test_a_source_may_have_its_own_findings_and_a_missing_package_is_one(link, tmp_path, monkeypatch):
    (tmp_path / "naru_checked.py").write_text(
        "from terminals.finding import Finding, Level\n"
        "CODE, FEED, MARKET, WHEN_FULL = 'REPLAY', 'x', None, 'block'\n"
        "def add_arguments(parser): parser.add_argument('--absent', action='store_true')\n"
        "def check(arguments):\n"
        "    yield Finding(Level.GOOD, 'the sheet is open')\n"
        "    if arguments.absent:\n"
        "        import naru_absent\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sources.SOURCES, "checked", sources.Entry("naru_checked", "x", "requirements/terminals-x.txt"))
    words = ["check", "checked", "--server", "127.0.0.1:1", *link]

    there, absent = findings(words)[-1:], findings([*words, "--absent"])[-2:]

    assert there == [Finding(Level.GOOD, "the sheet is open")] == absent[:1]
    assert absent[1].level is Level.WRONG
    assert "requirements/terminals-x.txt" in absent[1].told


def test_what_a_source_refuses_is_told(link):
    found = findings(["check", "replay", "nowhere.csv", "--server", "127.0.0.1:1", *link])

    assert found[-1].level is Level.WRONG
    assert "nowhere.csv" in found[-1].told


def test_every_finding_is_written_with_its_sign(link):
    given, module = command_line.read(["check", "simulate", "--server", "127.0.0.1:1", *link])
    assert module is not None
    out = io.StringIO()

    assert not checkup.run(given, module, command._config(given, module), out)
    assert all(line.startswith(("[", "    → ")) for line in out.getvalue().splitlines()[:-1])


WRONG = {
    "no file of options": ["kis", "--config", "{folder}/nowhere.toml"],
    "a folder for the file of options": ["kis", "--config", "{folder}"],
    "options that are no text": ["kis", "--config", "{folder}/binary"],
    "no file of the key": ["simulate", "{link}", "--key-file", "{folder}/nowhere"],
    "no host that can be": ["simulate", "{link}", "--server", "a" * 80 + ".kr:7070", "--plain"],
    "no port": ["simulate", "{link}", "--server", "naru.example"],
    "no CA file": ["simulate", "{link}", "--ca-file", "{folder}/nowhere.pem"],
    "a CA file that is none": ["simulate", "{link}", "--ca-file", "{folder}/binary"],
    "a spool that is a file": ["simulate", "{link}", "--spool", "{folder}/binary"],
    "no appkeys": ["kis", "{link}", "--symbols", "005930", "--appkeys", "{folder}/nowhere.toml"],
    "appkeys that are none": ["kis", "{link}", "--symbols", "005930", "--appkeys", "{folder}/binary"],
    "no KIS": ["kis", "{link}", "--symbols", "005930", "--appkeys", "{folder}/appkeys.toml"],
    "a folder for tokens that is a file": ["kis", "{link}", "--symbols", "005930", "--appkeys", "{folder}/appkeys.toml",
                                           "--state", "{folder}/binary"],
    "no map": ["infomax", "{link}", "--map", "{folder}/nowhere.toml"],
    "a map that is none": ["infomax", "{link}", "--map", "{folder}/binary"],
    "no CSV file": ["replay", "{folder}/nowhere.csv", "{link}"],
    "no securities": ["bloomberg", "{link}"],
}  # fmt: skip
SECRETS = (SECRET, "PSsecretsecretsecret", "hiddenhidden")


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_whatever_is_wrong_is_told_in_words_without_a_traceback_or_a_secret(
    tmp_path, monkeypatch, capsys, caplog, words
):
    monkeypatch.setenv("NARU_KEY", SECRET)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    account = "".join(
        f'{name} = "{value}"\n'
        for name, value in {
            "appkey": SECRETS[1], "appsecret": SECRETS[2], "rest_url": "http://127.0.0.1:1",
            "websocket_url": "ws://127.0.0.1:1",
        }.items()
    )  # fmt: skip
    (tmp_path / "appkeys.toml").write_text(f"[[account]]\n{account}")
    for file in ("binary", "appkeys.toml"):
        (tmp_path / file).chmod(0o600)
    link = ["--server", "127.0.0.1:1", "--client", "t1", "--spool", str(tmp_path / "spool")]
    link += ["--state", str(tmp_path / "state")] if "kis" in words and "--state" not in words else []
    given = [part for word in words for part in (link if word == "{link}" else [word.format(folder=tmp_path)])]

    code = command.main(["check", *given])

    told = "".join(capsys.readouterr()) + caplog.text
    assert code in (command.FAILED, command.WRONG_INPUT)
    assert told.strip()
    assert not any(word in told for word in ("Traceback", "[Errno", *SECRETS))
