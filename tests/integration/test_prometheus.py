"""Rules and boards, with the programs that read them: promtool, amtool, and a Prometheus that asks what runs."""

import json
import os
import re
import subprocess
import textwrap
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from marketdata.models import Client, Market, Source, Symbol
from tests import boards, market
from tests.road import Road
from tests.servers import free_port, packages
from tests.servers.alertmanager import BESIDE, Alertmanager, may_run
from tests.servers.prometheus import FOLDER, Prometheus
from tests.servers.tansu import Tansu
from tests.waiting import until

TESTS = sorted((FOLDER / "rules/tests").glob("*.yml"))
CELERY = ["-m", "celery", "-A", "celery_app"]
QUIET = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
ABSENT = {
    # what a file as database has not
    "mariadb": (),
    "postgresql": (),
    "sqlite": ("naru_database_replicas", "naru_database_connection", "naru_partition_headroom"),
}

EXPECTED = (
    # what is sent here, what a machine that does much else at the same time is slow at, and programs that are not here
    "NaruWatchdog", "NaruRowsRejected", "NaruOutsideLimits", "NaruAckBurnsFast", "NaruProgramDown", "NaruCommitsLate",
    "NaruFeedBehind", "NaruQueueGrows", "NaruTaskNotDone", "NaruProgramMissing",
)  # fmt: skip


def tool(*arguments):
    program, environment = packages.need(arguments[0], packages.MONITORING)
    done = subprocess.run(
        [program, *arguments[1:]], env=environment, cwd=FOLDER, capture_output=True, text=True, timeout=600
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.once
@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_promtool_sees_each_alert_fire_and_stay_quiet(file):
    status, said = tool("promtool", "test", "rules", str(file))

    assert status == 0, said


@pytest.mark.once
def test_promtool_and_amtool_accept_the_files():
    rules = [str(path) for path in sorted((FOLDER / "rules").glob("*.yml"))]
    for arguments in (
        ("promtool", "check", "rules", *rules),
        *(("promtool", "check", "config", f"{name}.yml") for name in ("prometheus", "compose", "run")),
        ("amtool", "check-config", "alertmanager.yml"),
    ):
        status, said = tool(*arguments)
        assert status == 0, said


@pytest.mark.once
def test_promtool_accepts_the_file_for_kubernetes_save_for_how_pods_are_found(tmp_path):
    told = yaml.safe_load((FOLDER / "kubernetes.yml").read_text(encoding="utf-8"))
    (job,) = (one for one in told["scrape_configs"] if one["job_name"] == "naru")
    assert job.pop("kubernetes_sd_configs")  # Debian's programs are built without it
    job["static_configs"] = [{"targets": ["127.0.0.1:9400"]}]
    (tmp_path / "rules").symlink_to(FOLDER / "rules")
    (tmp_path / "kubernetes.yml").write_text(yaml.safe_dump(told), encoding="utf-8")

    status, said = tool("promtool", "check", "config", str(tmp_path / "kubernetes.yml"))

    assert status == 0, said


@pytest.mark.once
@pytest.mark.parametrize(("severity", "receiver"), [("page", "pages"), ("ticket", "tickets"), ("watchdog", "watchdog")])
def test_alertmanager_sends_an_alert_to_whom_it_concerns(severity, receiver):
    asked = ("amtool", "config", "routes", "test", "--config.file=alertmanager.yml")

    status, said = tool(*asked, "alertname=NaruX", f"severity={severity}")

    assert (status, said.splitlines()[0]) == (0, receiver)


ADDRESSES = {"page": "https://chat.example.com/hooks/a?b=c&d=e#f", "ticket": "", "watchdog": "http://10.0.0.9/w\n"}


def started(folder, settings, addresses):
    """What the script of the container makes of the settings and the files of addresses, and what it says."""
    told = {"ALERTMANAGER_SETTINGS": str(settings), "ALERTMANAGER_RUN": str(folder), "ALERTMANAGER": "echo"}
    for name, address in addresses.items():
        (folder / name).write_text(address, encoding="utf-8")
        told[f"ALERT_{name.upper()}_FILE"] = str(folder / name)
    return subprocess.run(
        [FOLDER / "start-alertmanager", "--storage.path=/alertmanager"], env=os.environ | told,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.once
def test_where_alerts_go_is_files_in_containers(tmp_path):
    done = started(tmp_path, FOLDER / "alertmanager.yml", ADDRESSES)

    made = tmp_path / "alertmanager.yml"
    assert done.stdout == f"--config.file={made} --storage.path=/alertmanager\n"
    assert "nobody is told of what goes to `ticket`" in done.stderr
    assert "`page`" not in done.stderr
    config = yaml.safe_load(made.read_text(encoding="utf-8"))
    told = {one["name"]: one["webhook_configs"][0]["url"] for one in config["receivers"]}
    assert told == {
        "pages": ADDRESSES["page"], "tickets": "http://127.0.0.1:9099/ticket", "watchdog": "http://10.0.0.9/w",
    }  # fmt: skip
    config["receivers"] = None
    assert config == yaml.safe_load((FOLDER / "alertmanager.yml").read_text(encoding="utf-8")) | {"receivers": None}
    assert made.stat().st_mode & 0o077 == 0
    status, said = tool("amtool", "check-config", str(made))
    assert status == 0, said


@pytest.mark.once
@pytest.mark.parametrize("address", ["chat.example.com/hook", 'http://a"b', "http://a b", "http://a\\b"])
def test_what_is_no_address_stops_the_start(tmp_path, address):
    done = started(tmp_path, FOLDER / "alertmanager.yml", ADDRESSES | {"page": address})

    assert done.returncode == 1
    assert str(tmp_path / "page") in done.stderr
    assert address not in done.stderr


@pytest.mark.once
def test_mail_is_a_file_of_ones_own_made_as_the_readme_says(tmp_path):
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n( *global:.*?)```", text, re.DOTALL)
    ours = (FOLDER / "alertmanager.yml").read_text(encoding="utf-8")
    own = tmp_path / "own.yml"
    own.write_text(ours.partition("receivers:\n")[0] + textwrap.dedent(shown), encoding="utf-8")

    done = started(tmp_path, own, dict.fromkeys(ADDRESSES, ""))

    assert "`watchdog`" in done.stderr  # whose example it keeps
    assert "`page`" not in done.stderr
    status, said = tool("amtool", "check-config", str(tmp_path / "alertmanager.yml"))
    assert status == 0, said
    config = yaml.safe_load((tmp_path / "alertmanager.yml").read_text(encoding="utf-8"))
    assert config["global"]["smtp_auth_password_file"] == "/run/secrets/alert_password"
    assert {one["name"] for one in config["receivers"]} == {"pages", "tickets", "watchdog"}


class Receiver(ThreadingHTTPServer):
    """Of pages, tickets and the watchdog: keeps the names of the alerts it is sent, by the path. Takes no watchdog when
    it is `broken`."""

    daemon_threads = True

    def __init__(self) -> None:
        self.heard: dict[str, set[str]] = {}
        self.broken = False
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if refused := self.server.broken and self.path == "/watchdog":
            self.send_response(404)
        else:
            self.send_response(200)
        self.end_headers()
        if not refused:
            names = {one["labels"]["alertname"] for one in told["alerts"]}
            self.server.heard.setdefault(self.path, set()).update(names)

    def log_message(self, *given: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def receiver():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.once
def test_alerts_reach_their_receivers_and_what_cannot_be_sent_is_one_itself(tmp_path, receiver):
    if not may_run():
        pytest.skip("nobody may have mounts of his own here")
    with (
        Alertmanager(f"http://127.0.0.1:{receiver.server_address[1]}", tmp_path / "alertmanager") as alertmanager,
        Prometheus({}, tmp_path / "prometheus", alertmanager=alertmanager.port) as prometheus,
    ):
        until(lambda: "/watchdog" in receiver.heard, seconds=200, what="a watchdog that is heard")
        until(lambda: all(map(prometheus.query, BESIDE)), seconds=100, what="what both tell of themselves")
        assert receiver.heard == {"/watchdog": {"NaruWatchdog"}}

        receiver.broken = True

        until(lambda: "/page" in receiver.heard, seconds=200, what="a page about what is not sent")
        assert receiver.heard == {"/watchdog": {"NaruWatchdog"}, "/page": {"NaruAlertsNotSent"}}


@pytest.mark.usefixtures("road_database")
def test_every_question_of_every_board_has_an_answer(tmp_path, redis_server, vendor):
    ports = {name: free_port() for name in ("ingest", "worker", "worker-slow", "beat", "web", "fanout")}
    web = free_port()
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    key = tmp_path / "key"
    client, secret = Client.objects.create_with_secret(
        name="desk1", source=Source.objects.get(code="SIMULATOR"), may_send=True, may_register=True
    )
    key.write_text(secret)
    key.chmod(0o600)
    queues = "feed-recovery,chart-data,statistics-data,maintenance"
    with (
        Tansu() as broker,
        Road(
            tmp_path / "road",
            redis_server.url,
            API_RATE_LIMIT_UNKNOWN="1000000",
            EVENT_BUS="kafka",
            KAFKA_BOOTSTRAP=broker.url,
        ) as road,
        Prometheus(ports, tmp_path / "prometheus") as prometheus,
    ):

        def start(name, command):
            road.start(name, command, METRICS_PORT=str(ports[name]))

        start("ingest", ["manage.py", "runingest"])
        start("worker", ["manage.py", "runworkers", "-c", "1", "-Q", "raw_market_data,processed-data"])
        start("worker-slow", [*CELERY, "worker", "-n", "slow@%h", "-c", "1", "-Q", queues, *QUIET])
        start("beat", [*CELERY, "beat", "--pidfile="])
        start("web", ["manage.py", "runweb", "--port", str(web)])
        start("fanout", ["manage.py", "runfanout"])
        until(road._listens, seconds=120, what="ingest server")
        link = ["--server", f"127.0.0.1:{road.port}", "--client", client.name, "--key-file", str(key)]
        simulated = ["-m", "terminals", "simulate", "--rate", "20", "--spool", str(tmp_path / "spool")]
        road.start("terminal", [*simulated, *link])
        stranger = road.terminal("desk2")
        stranger.login()

        def keeps_on():
            """A row of an unknown symbol, and a request, in each round: of both a rate is asked for."""
            stranger.rows([{"symbol": "NONE", "time": market.NINE_US, "price": "1", "size": "1"}])
            with urllib.request.urlopen(f"http://127.0.0.1:{web}/login/", timeout=60):
                pass

        until(lambda: _answers(web), seconds=120, what="web server")
        # The others are asked in test_galera.py, test_standby.py, test_sentinel.py, test_vendor_holidays.py and
        # test_source_status.py.
        questions = {one for one in boards.questions() if not one.names((*boards.ELSEWHERE, *ABSENT[vendor]))}
        left = set(questions)

        def all_answered():
            keeps_on()
            for question in sorted(left):
                if boards.answer(prometheus, question, client.name):
                    left.discard(question)
            return not left

        try:
            road.until(all_answered, seconds=300, what="an answer to every question")
        except TimeoutError:
            pytest.fail(f"{len(questions)} questions, without an answer: {sorted(left)}")
        assert len(questions) > 60
        assert boards.choices() == {("client", "naru_terminal_connected", "client")}
        for _name, figure, label in boards.choices():
            assert client.name in prometheus.label_values(figure, label)
        # On a busy machine one answer or another comes too late.
        until(lambda: {one["value"][1] for one in prometheus.query("up")} == {"1"}, seconds=120, what="all answer")
        for firing in prometheus.query('ALERTS{alertstate="firing"}'):
            assert firing["metric"]["alertname"] in EXPECTED, firing


def _answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False
