"""The image and the services of docker/compose.yaml: each process of the one-command run is one, all closed alike."""

import configparser
import fnmatch
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from marketdata.launcher import supervisor
from marketdata.realtime import redis_urls

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docker"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if "migrate" in one.get("depends_on", {})}
DOCKERFILES = sorted(FOLDER.rglob("Dockerfile"))


def test_the_services_run_what_the_one_command_runs():
    wanted = {
        program.name: {word for word in program.command[1:] if word not in ("--loglevel", "WARNING")}
        for program in supervisor.programs(port=8000, redis=None, terminal=None, fanout=True)
    }

    started = {name: set(one["command"]) - {"--host", "0.0.0.0"} for name, one in OURS.items()}
    second = {name for name in started if name.endswith("2")}

    assert {name: words for name, words in started.items() if name not in second} == wanted
    assert second == {"ingest2", "web2", "beat2"}
    for name in second:
        assert started[name] == wanted[name.removesuffix("2")]
        assert SERVICES[name]["profiles"] == ["ha"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_closed_and_limited(name):
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(limits) == {"cpus", "memory"}
    assert "max-size" in service["logging"]["options"]
    assert service["profiles"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_is_told_in_secret_is_a_file(name):
    service = SERVICES[name]
    told = [*service["environment"].values(), *service.get("command", ())]
    files = {found for text in told for found in re.findall(r"/run/secrets/(\w+)", text)}

    assert set(service["secrets"]) == files
    assert files <= set(COMPOSE["secrets"])
    assert [key for key in service["environment"] if key.endswith(("_URL", "PASSWORD", "SECRET_KEY", "_PASS"))] == []


@pytest.mark.parametrize("name", OURS)
def test_a_process_begins_when_the_tables_are_there_and_redis_answers(name):
    assert OURS[name]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"},
        "redis": {"condition": "service_healthy"},
        "mariadb": {"condition": "service_started"},
    }
    assert SERVICES["migrate"]["depends_on"]["mariadb"] == {"condition": "service_healthy"}


def test_keys_of_kis_are_a_secret_of_who_asks_it():
    beside = yaml.safe_load((FOLDER / "compose.kis.yaml").read_text(encoding="utf-8"))
    ((name, added),) = beside["services"].items()

    assert name == "worker-upkeep"
    assert added == {"secrets": ["kis_keys"], "environment": {"NARU_KIS_KEYS_FILE": "/run/secrets/kis_keys"}}
    assert beside["secrets"] == {"kis_keys": {"file": "secrets/kis_keys"}}


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
@pytest.mark.parametrize("beside", [[], ["compose.kis.yaml"], ["compose.ha.yaml", "compose.kis.yaml"]], ids=" ".join)
def test_compose_itself_reads_the_files(tmp_path, beside):
    files = ["compose.yaml", *beside]
    for file in files:
        shutil.copy(FOLDER / file, tmp_path)
    (tmp_path / "naru.env").touch()
    shutil.copytree(FOLDER / "kafka", tmp_path / "kafka")
    profiles = {profile for one in SERVICES.values() for profile in one["profiles"]}
    words = [word for file in files for word in ("-f", file)]
    words += [word for profile in sorted(profiles) for word in ("--profile", profile)]

    told = subprocess.run(["docker-compose", *words, "config"], cwd=tmp_path, capture_output=True, check=True)

    read = yaml.safe_load(told.stdout)
    assert set(read["services"]) == set(SERVICES)
    upkeep = read["services"]["worker-upkeep"]
    given = {one["source"] for one in upkeep["secrets"]}
    assert given == {"database_url", "redis_url", "sentry_dsn", *(["kis_keys"] if beside else [])}
    assert upkeep["environment"]["KAFKA_BOOTSTRAP"] == "kafka:9092"
    assert ("NARU_KIS_KEYS_FILE" in upkeep["environment"]) == bool(beside)
    is_ha = "compose.ha.yaml" in beside
    assert ("CACHE_ENGINE" in upkeep["environment"]) == is_ha
    assert Path(read["secrets"]["database_url"]["file"]).name == ("database_url_ha" if is_ha else "database_url")
    assert ("haproxy" in read["services"]["migrate"]["depends_on"]) == is_ha
    assert read["services"]["mariadb"]["environment"].get("GALERA_NODE") == ("mariadb" if is_ha else None)


def test_nothing_is_published_to_other_machines_but_what_terminals_reach_by_tls():
    published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}

    assert set(published) == {"ingest", "ingest2", "web", "web2", "prometheus", "grafana", "kibana"}
    for name in ("web", "web2", "prometheus", "grafana", "kibana"):
        assert [port.startswith("127.0.0.1:") for port in published[name]] == [True]
    for name in ("ingest", "ingest2"):
        assert SERVICES[name]["environment"]["INGEST_TLS_CERT"]
    assert len({port for ports in published.values() for port in ports}) == len(published)


BESIDE = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FOLDER.glob("compose.*.yaml")}
HA = BESIDE["compose.ha.yaml"]
NODES = ["mariadb", "mariadb2", "mariadb3"]


def test_each_server_of_the_profile_ha_knows_the_others():
    nodes = {name: {**SERVICES[name]["environment"], **HA["services"].get(name, {}).get("environment", {})}
             for name in (*NODES, "haproxy")}  # fmt: skip
    watched = {name: {**SERVICES[name]["environment"], **HA["services"].get(name, {}).get("environment", {})}
               for name in SERVICES if re.fullmatch(r"redis2?|sentinel\d", name)}  # fmt: skip

    assert {one["GALERA_NODES"].split(",") == NODES for one in nodes.values()} == {True}
    assert [nodes[name]["GALERA_NODE"] for name in NODES] == NODES
    assert [SERVICES[name].get("depends_on") for name in NODES] == [None, ["mariadb"], ["mariadb2"]]
    assert {one["CHECK_PASSWORD_FILE"] for one in nodes.values()} == {"/run/secrets/mariadb_check"}
    assert {name: one["REDIS_NAME"] for name, one in watched.items()} == {name: name for name in watched}
    sentinels = [name for name in watched if name.startswith("sentinel")]
    assert {one["REDIS_SENTINELS"] for one in watched.values()} == {" ".join(sentinels)}
    assert {name: one["REDIS_FIRST"] for name, one in watched.items() if "REDIS_FIRST" in one} == dict.fromkeys(
        sentinels, "redis"
    )
    kept = [volume.partition(":")[0] for name in (*NODES, *watched) for volume in SERVICES[name]["volumes"]]
    assert len(set(kept)) == len(kept)
    assert set(kept) <= set(COMPOSE["volumes"])


def test_every_process_of_the_profile_ha_asks_the_cluster_and_none_that_is_alone():
    asked = {
        name for name, one in HA["services"].items()
        if one.get("environment", {}).get("CACHE_ENGINE") == "InnoDB"
        and one["environment"]["DATABASE_NODES"].split(",") == [f"{node}:3306" for node in NODES]
    }  # fmt: skip

    assert asked == {"migrate", *OURS}
    started = {name for name, one in HA["services"].items() if "ha" in one.get("profiles", ())}
    assert started == {"mariadb", "redis", "migrate", *OURS} - {"ingest2", "web2", "beat2", "fanout"}
    assert HA["secrets"].keys() == {"database_url", "redis_url"}


def test_what_leaves_sigterm_to_the_kernel_or_has_children_of_others_is_not_the_first_process():
    assert [name for name, one in SERVICES.items() if one.get("init")] == [*NODES, "haproxy"]


def test_whoever_uses_a_server_is_stopped_before_it():
    def stopped_after(service):
        named = SERVICES[service].get("depends_on", {}), HA["services"].get(service, {}).get("depends_on", {})
        first = {one for depends in named for one in depends if SERVICES[one].get("restart") != "no"}
        return first.union(*(stopped_after(one) for one in first))

    servers = {name for name, one in SERVICES.items() if "ha" in one["profiles"] and name not in OURS}

    for name in OURS:
        assert {"mariadb", "redis"} <= SERVICES[name]["depends_on"].keys()
        assert stopped_after(name) == servers | {"mariadb", "redis"}


def total_of_limits(profile):
    """GiB of all services that go on running."""
    profiles = {name: [*one["profiles"], *HA["services"].get(name, {}).get("profiles", [])]
                for name, one in SERVICES.items()}  # fmt: skip
    started = [name for name in SERVICES if profile in profiles[name] and name != "migrate"]
    limits = [SERVICES[name]["deploy"]["resources"]["limits"]["memory"] for name in started]
    return sum(float(limit[:-1]) * {"m": 1, "g": 1024}[limit[-1]] for limit in limits) / 1024


def test_the_machine_that_the_profile_ha_is_said_to_want_has_room_for_all_its_limits():
    total = total_of_limits("ha")

    said = re.search(r"and (\d+) GiB \(its limits add up to ([\d.]+) GiB\)", (FOLDER / "README.md").read_text("utf-8"))
    assert said is not None
    assert float(said[2]) == pytest.approx(total, abs=0.05)
    assert float(said[1]) > total


def test_what_the_limits_of_one_server_add_up_to_is_said():
    said = re.search(r"limits of the services add up to ([\d.]+) GiB", (FOLDER / "README.md").read_text("utf-8"))

    assert said is not None
    assert float(said[1]) == pytest.approx(total_of_limits("single"), abs=0.05)


@pytest.mark.parametrize("profile", ["monitoring", "kafka"])
def test_what_a_profile_beside_it_may_take_is_said(profile):
    said = re.search(rf"`{profile}` has limits of ([\d.]+) GiB", (FOLDER / "README.md").read_text("utf-8"))

    assert said is not None
    assert float(said[1]) == pytest.approx(total_of_limits(profile), abs=0.05)


def test_who_ships_logs_reads_the_files_that_every_process_writes_and_sends_on_what_the_index_takes():
    beats = yaml.safe_load((FOLDER / "elk/filebeat.yml").read_text(encoding="utf-8"))
    [read] = beats["filebeat.inputs"]
    pipeline = (FOLDER / "elk/logstash.conf").read_text(encoding="utf-8")
    template = json.loads((FOLDER / "elk/index-template.json").read_text(encoding="utf-8"))

    assert {path.partition(":")[2].partition("}")[0] for path in read["paths"]} == {"/var/log/naru"}
    assert "logs:/var/log/naru:ro" in SERVICES["filebeat"]["volumes"]
    assert [name for name, one in OURS.items() if "logs:/var/log/naru" not in one["volumes"]] == []
    assert pipeline.count("{") == pipeline.count("}")
    stream = "-".join(re.findall(r'data_stream_(?:type|dataset|namespace) => "(\w+)"', pipeline))
    assert fnmatch.fnmatch(stream, *template["index_patterns"])
    assert f'searchIndex="{stream}"' in (FOLDER / "elk/rsyslog-naru.conf").read_text(encoding="utf-8")
    told = set(re.findall(r"\$\{(\w+)", pipeline)) - {"ELASTIC_USER"}
    command = " ".join(SERVICES["logstash"]["entrypoint"])
    assert told <= set(SERVICES["logstash"]["environment"]) | set(re.findall(r"(\w+)=\$\$", command))


def test_a_line_without_an_id_is_a_document_of_its_own():
    pipeline = (FOLDER / "elk/logstash.conf").read_text(encoding="utf-8")
    [field] = re.findall(r'document_id => "%\{(.+)\}"', pipeline)

    assert f'if !{field} {{ uuid {{ target => "{field}" }} }}' in pipeline.partition("output {")[0]


@pytest.mark.parametrize("name", ["filebeat", "logstash"])
def test_what_was_read_of_the_logs_is_known_after_a_restart(name):
    folder = f"/usr/share/{name}/data"
    words = " ".join([*SERVICES[name].get("entrypoint", []), *SERVICES[name].get("command", [])])

    assert f"{name}:{folder}" in SERVICES[name]["volumes"]
    assert name in COMPOSE["volumes"]
    assert "--path.data" not in words
    assert [place for place in SERVICES[name]["tmpfs"] if folder.startswith(place.partition(":")[0])] == []


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_an_image_is_built_by_the_plain_builder_and_runs_as_nobody_special(file):
    text = file.read_text(encoding="utf-8")
    users = re.findall(r"^USER (.+)", text, re.MULTILINE)

    assert not re.search(r"^RUN +--|^# *syntax=|<<[A-Z]|^COPY .*--(chmod|link)", text, re.MULTILINE)
    assert users[-1].split(":")[0].isdigit()
    assert int(users[-1].split(":")[0]) > 0
    assert "HEALTHCHECK" in text


def test_the_image_that_runs_has_no_compiler():
    stages = re.split(r"^FROM ", (FOLDER / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    compiling = [stage.splitlines()[0] for stage in stages if re.search(r"\bgcc\b|-dev\b", stage)]

    assert compiling == ["${BASE} AS build"]


def test_what_goes_into_the_image_is_named_and_there():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    taken = [line[1:] for line in lines if line.startswith("!")]

    assert lines[1] == "*"
    assert [path for path in taken if not (ROOT / path).exists()] == []
    assert not {"var", "tests", ".git", "docker", ".env"} & set(taken)


@pytest.mark.skipif(shutil.which("openssl") is None or os.getuid() != 0, reason="as root, with openssl")
def test_secrets_are_made_once_and_for_the_containers_alone(tmp_path):
    shutil.copy(FOLDER / "prepare", tmp_path)

    def prepare():
        subprocess.run([tmp_path / "prepare", "prices.example.com"], check=True, capture_output=True)
        return {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()}

    first = prepare()

    assert prepare() == first
    wanted = [*COMPOSE["secrets"].values(), *HA["secrets"].values()]
    assert set(first) == {Path(one["file"]).name for one in wanted}
    assert redis_urls.watched(first["redis_url_ha"]).password == first["redis"]
    assert [host for host, _ in redis_urls.watched(first["redis_url_ha"]).sentinels] == [
        f"sentinel{number}" for number in (1, 2, 3)
    ]
    assert first["database_url_ha"] == first["database_url"].replace("@mariadb:", "@haproxy:")
    assert first["database_url"] == f"mysql://naru:{first['mariadb_naru']}@mariadb:3306/naru"
    assert len({first[name] for name in ("secret_key", "redis", "mariadb_naru", "mariadb_backup")}) == 4
    exporter = configparser.ConfigParser()
    exporter.read_string(first["mysqld_exporter"])
    assert dict(exporter["client"]) == {"user": "naru_exporter", "password": first["mariadb_exporter"]}
    assert json.loads(first["redis_exporter_map"]) == {
        f"redis://naru-exporter@{name}:6379": first["redis_exporter"] for name in ("redis", "redis2")
    }
    assert {name for name, content in first.items() if not content} == {
        "sentry_dsn", "oidc_client_secret", "email_password", "offsite_access_key", "offsite_secret_key",
        "kafka_options", "alert_page", "alert_ticket", "alert_watchdog", "alert_password",
    }  # fmt: skip
    found = [path.stat() for path in (tmp_path / "secrets").iterdir()]
    assert {(one.st_uid, one.st_gid, one.st_mode & 0o777) for one in found} == {(0, 10001, 0o440)}


def test_a_container_is_alive_as_long_as_its_file_is_renewed(tmp_path):
    file = tmp_path / "alive"

    def is_alive():
        done = subprocess.run(
            [FOLDER / "alive"], env=os.environ | {"ALIVE_FILE": str(file), "LIMIT": "100"}, capture_output=True
        )
        return done.returncode == 0

    assert not is_alive()
    file.touch()
    assert is_alive()
    os.utime(file, (0, 0))
    assert not is_alive()


@pytest.mark.skipif(shutil.which("openssl") is None or os.getuid() != 0, reason="as root, with openssl")
def test_who_has_not_said_where_alerts_go_is_told_so_each_time(tmp_path):
    shutil.copy(FOLDER / "prepare", tmp_path)

    def prepare():
        return subprocess.run([tmp_path / "prepare"], check=True, capture_output=True, text=True).stderr

    assert "secrets/alert_page secrets/alert_ticket secrets/alert_watchdog" in prepare()
    (tmp_path / "secrets/alert_page").write_text("https://chat.example.com/hook", encoding="utf-8")
    assert "in: secrets/alert_ticket secrets/alert_watchdog" in prepare()
    (tmp_path / ".env").write_text("ALERTMANAGER_FILE=./alertmanager.yml\n", encoding="utf-8")
    assert prepare() == ""


def properties(file):
    lines = (FOLDER / "kafka" / file).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_broker_of_the_profile_is_one_that_nobody_outside_reaches():
    broker, kafka = properties("broker.properties"), SERVICES["kafka"]
    copies = {name: value for name, value in broker.items() if "replication.factor" in name or ".isr" in name}

    assert re.fullmatch(r"\$\{KAFKA_IMAGE:-apache/kafka:4\.\d+\.\d+@sha256:[0-9a-f]{64}\}", kafka["image"])
    assert broker["process.roles"] == "broker,controller"
    assert set(copies.values()) | {broker["min.insync.replicas"]} == {"1"}
    assert f"{broker['node.id']}@127.0.0.1:9093" == broker["controller.quorum.voters"]
    assert broker["advertised.listeners"] == "CLIENTS://kafka:9092"
    assert "ports" not in kafka
    assert f"kafka:{broker['log.dirs']}" in kafka["volumes"]
    assert "kafka" in COMPOSE["volumes"]
    assert "/dev/tcp/127.0.0.1/9092" in " ".join(kafka["healthcheck"]["test"])


def test_every_process_knows_the_broker_of_the_profile_unless_it_is_told_of_another():
    ((name, bootstrap),) = properties("client.env").items()

    assert (name, bootstrap) == ("KAFKA_BOOTSTRAP", "kafka:9092")
    assert f"://{bootstrap}" in properties("broker.properties")["advertised.listeners"]
    for one in (*OURS.values(), SERVICES["migrate"]):
        assert one["env_file"] == ["kafka/client.env", "naru.env"]  # what stands later counts
        assert "KAFKA_BOOTSTRAP" not in one["environment"]
    assert SERVICES["fanout"]["profiles"] == ["kafka", "fanout"]
    assert SERVICES["kafka"]["profiles"] == ["kafka"]


def test_the_broker_formats_its_folder_once_and_logs_to_its_container(tmp_path):
    shutil.copytree(FOLDER / "kafka", tmp_path / "etc")
    settings, data, home = tmp_path / "etc/broker.properties", tmp_path / "data", tmp_path / "kafka"
    settings.write_text(settings.read_text().replace("/var/lib/kafka/data", str(data)), encoding="utf-8")
    data.mkdir()
    (home / "bin").mkdir(parents=True)
    for program in ("kafka-storage.sh", "kafka-server-start.sh"):
        (home / "bin" / program).write_text(
            f'#!/bin/sh\n[ "$1" != random-uuid ] || {{ echo "a line"; echo an-identity; exit; }}\n'
            f'[ "$1" != format ] || touch {data}/meta.properties\n'
            f'echo "{program} $* $KAFKA_LOG4J_OPTS $LOG_DIR $EXTRA_ARGS" >>{tmp_path}/said\n'
        )
        (home / "bin" / program).chmod(0o755)

    for _ in range(2):
        environment = os.environ | {"KAFKA_HOME": str(home), "KAFKA_LOG4J_OPTS": ""}
        subprocess.run(["/bin/sh", str(tmp_path / "etc/start")], env=environment, check=True)

    formatted, *started = (tmp_path / "said").read_text(encoding="utf-8").splitlines()
    assert formatted.startswith(f"kafka-storage.sh format --config {settings} --cluster-id an-identity ")
    again = f"kafka-server-start.sh {settings} -Dlog4j2.configurationFile={tmp_path}/etc/log4j2.properties"
    assert started == [f"{again} /tmp/kafka -name kafkaServer"] * 2
