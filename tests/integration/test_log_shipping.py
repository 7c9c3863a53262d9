"""Log lines on their way to a search server: Debian's rsyslog reads what our processes wrote and sends it; the index
takes every document by the template that we ship. Logrotate turns the files meanwhile."""

import contextlib
import json
import logging
import logging.config
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from marketdata.logs import configuration, context
from marketdata.types.tick_arrays import batch_number
from tests.servers import packages
from tests.servers.process import spawn
from tests.simulators.log_index import LogIndex
from tests.waiting import until

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parents[2]
EPOCH = "0123456789abcdef"


@pytest.fixture(scope="module")
def programs():
    """(rsyslogd, logrotate, rsyslog's modules, their environment)."""
    try:
        rsyslogd, environment = packages.need("rsyslogd", packages.LOGS)
        logrotate, _ = packages.need("logrotate", packages.LOGS)
    except packages.ServerMissing as error:
        if os.environ.get("NARU_REQUIRE_SERVERS"):
            raise
        pytest.skip(str(error))
    modules = next(rsyslogd.parents[2].glob("usr/lib/*/rsyslog"), None) or next(Path("/").glob("usr/lib/*/rsyslog"))
    return rsyslogd, logrotate, modules, environment


@contextlib.contextmanager
def written(folder):
    """A logger whose lines go where LOG_DIR says, as JSON."""
    given = configuration.configuration(
        form="ecs", level="INFO", levels={}, batches=True, folder=str(folder), max_bytes=0, kept=1,
        secrets=["correct-horse-battery"], version="0",
    )  # fmt: skip
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    logging.config.dictConfig(given)
    root.removeHandler(next(one for one in root.handlers if type(one) is logging.StreamHandler))
    try:
        yield logging.getLogger("ingest.tasks")
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:], root.level = before, level
        logging.getLogger(configuration.BATCHES).setLevel(logging.NOTSET)


def shipper(programs, folder, port):
    """rsyslog with the file that we ship, its places in a folder of the test, until `stop`."""
    rsyslogd, _, modules, environment = programs
    shipped = (ROOT / "docker/elk/rsyslog-naru.conf").read_text(encoding="utf-8")
    shipped = shipped.replace("/var/log/naru-refused.json", str(folder / "refused.json"))
    shipped = shipped.replace("/var/log/naru/", f"{folder}/logs/").replace("127.0.0.1:9200", f"127.0.0.1:{port}")
    shipped = shipped.replace('pwd=""', 'pwd="of-the-index"').replace(' tls.cacert=""', "")
    (folder / "state").mkdir(exist_ok=True)
    (folder / "rsyslog.conf").write_text(f'global(workDirectory="{folder}/state")\n{shipped}', encoding="utf-8")
    command = [str(rsyslogd), "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid"), "-M", str(modules)]
    checked = subprocess.run([*command, "-N1"], env=environment, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    return spawn(command, environment=environment, log=folder / "rsyslog.log", cwd=folder)


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def turn(programs, folder):
    """Logrotate with the file that we ship."""
    shipped = (ROOT / "docker/logrotate/naru").read_text(encoding="utf-8").replace("/var/log/naru/", f"{folder}/logs/")
    config = folder / "logrotate.conf"
    config.write_text(re.sub(r"^ *su .*\n", "", shipped, flags=re.MULTILINE), encoding="utf-8")
    config.chmod(0o600)
    command = [str(programs[1]), "--force", "--state", str(folder / "turned"), str(config)]
    done = subprocess.run(command, env=programs[3], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_processes_write_is_in_the_index_once_and_whole(programs, tmp_path):
    with LogIndex() as index, written(tmp_path / "logs") as log:
        ids = context.Ids("ask-1", "task-1", "ingest.tasks.process_batches", [batch_number(7, 3)], {7: EPOCH})
        with context.within(ids):
            log.info("batch committed stored=%d 한글=%s", 5, "삼성전자\n\x1b[2K")
        try:
            raise ValueError("cannot log in as mysql://naru:hunter2@db, correct-horse-battery")
        except ValueError:
            log.exception("worker failed batch=%d error=%s", 4, "x" * 5000)
        logging.getLogger("urllib3.pool").warning("%s", {"any": "thing"})
        process = shipper(programs, tmp_path, index.port)
        until(lambda: len(index.documents) == 3, seconds=120, what="three documents")

        turn(programs, tmp_path)
        log.warning("after the turn number=%d", 1)
        until(lambda: len(index.documents) == 4, seconds=120, what="the line in the new file")
        stop(process)
        index.away = True
        log.warning("while it is away number=%d", 2)
        process = shipper(programs, tmp_path, index.port)
        log.warning("while it is away number=%d", 3)
        index.away = False
        until(lambda: len(index.documents) == 6, seconds=120, what="what was written meanwhile")
        stop(process)

    files = [*(tmp_path / "logs").glob("main.log*")]
    lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(files) == 2
    assert index.refused == []
    assert {line["event.id"]: line for line in lines} == index.documents
    found = {line.get("event.action", ""): line for line in index.documents.values()}
    assert found["batch committed"]["trace.id"] == EPOCH + "0000000000000003"
    assert found["batch committed"]["http.request.id"] == "ask-1"
    assert "삼성전자\n" in found["batch committed"]["message"]
    assert found["worker failed"]["error.message"] == "cannot log in as mysql://naru:***@db, ***"
    assert len(found["worker failed"]["labels"]["error"]) == 1024
    assert {one.split()[0] for one in index.users if one} == {"Basic"}
    told = json.dumps(list(index.documents.values()))
    assert "hunter2" not in told
    assert "correct-horse-battery" not in told


def test_rules_and_template_are_put_where_they_belong(tmp_path):
    (tmp_path / "password").write_text("of-the-index")
    (tmp_path / "kibana").write_text("of-kibana")
    with LogIndex() as index:
        variables = {
            "ELASTICSEARCH": f"http://127.0.0.1:{index.port}", "ELASTIC_PASSWORD_FILE": str(tmp_path / "password"),
            "KIBANA_PASSWORD_FILE": str(tmp_path / "kibana"),
        }  # fmt: skip
        done = subprocess.run([ROOT / "docker/elk/setup"], env=os.environ | variables, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    template = json.loads((ROOT / "docker/elk/index-template.json").read_text(encoding="utf-8"))
    policy = template["template"]["settings"]["index"]["lifecycle"]["name"]
    assert set(index.puts) == {
        f"_ilm/policy/{policy}", "_index_template/naru-logs", "_security/user/kibana_system/_password",
    }  # fmt: skip
    assert index.puts["_index_template/naru-logs"] == template
    assert index.puts["_security/user/kibana_system/_password"] == {"password": "of-kibana"}
    assert "of-the-index" not in done.stdout + done.stderr
