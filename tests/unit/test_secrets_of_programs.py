"""Which program may have which secret: told once, here, and the same in compose and on Kubernetes."""

import json
import re
import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
SERVICES = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
HA = yaml.safe_load((DOCKER / "compose.ha.yaml").read_text(encoding="utf-8"))["services"]
MANIFESTS = [
    manifest
    for file in sorted((DOCKER / "kubernetes").rglob("*.yaml"))
    for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8"))
]
PODS = [one for one in MANIFESTS if one["kind"] in ("Deployment", "StatefulSet", "Job", "DaemonSet", "CronJob")]

PROCESS = {"database_url", "redis_url", "sentry_dsn"}
"""Of every process of Naru: it stores or reads, is told by Redis what there is, and reports its errors."""
OF_PROGRAMS: dict[str, set[str]] = {
    "migrate": PROCESS,
    "ingest": PROCESS | {"ingest_cert", "ingest_key"},
    "web": PROCESS | {"secret_key", "oidc_client_secret"},
    "worker": PROCESS,
    "worker-recovery": PROCESS,
    "worker-slow": PROCESS,
    "worker-alerts": PROCESS | {"secret_key", "email_password"},  # where alerts go is sealed with the key
    "worker-upkeep": PROCESS,  # and keys of KIS, where it has them
    "worker-backups": PROCESS | {"backup_database_url", "offsite_access_key", "offsite_secret_key"},
    "beat": PROCESS,
    "fanout": PROCESS | {"kafka_options"},
    "mariadb": {"mariadb_naru", "mariadb_backup"},
    "redis": {"redis"},
}
OF_SERVICES: dict[str, set[str]] = {
    "mariadb": OF_PROGRAMS["mariadb"] | {"mariadb_exporter"},
    "redis": OF_PROGRAMS["redis"] | {"redis_exporter"},
    "redis2": OF_PROGRAMS["redis"] | {"redis_exporter"},
    "mariadb2": {"mariadb_check"},
    "mariadb3": {"mariadb_check"},
    "haproxy": {"mariadb_check"},
    "sentinel1": {"redis"},
    "sentinel2": {"redis"},
    "sentinel3": {"redis"},
    "kafka": set(),
    "prometheus": set(),
    "alertmanager": {"alert_page", "alert_ticket", "alert_watchdog", "alert_password"},
    "mysqld-exporter": {"mysqld_exporter"},
    "redis-exporter": {"redis_exporter_map"},
    "node-exporter": set(),
    "postgres-exporter": {"postgres_exporter"},
    "grafana": {"grafana"},
    "elasticsearch": {"elastic"},
    "elastic-setup": {"elastic", "kibana"},
    "logstash": {"elastic"},
    "filebeat": set(),
    "kibana": {"kibana"},
}
"""Of what is in compose alone, or has more there: a cluster has its own around Naru."""
OPTIONAL = {
    "sentry_dsn", "oidc_client_secret", "email_password", "offsite_access_key", "offsite_secret_key", "kafka_options",
}  # fmt: skip
"""Which docker/prepare makes empty."""


def of_service(name):
    """The second of a program is the same one."""
    return OF_SERVICES.get(name) or OF_PROGRAMS.get(name.removesuffix("2"), set())


def files(texts):
    return {found for text in texts for found in re.findall(r"/run/secrets/(\w+)", str(text))}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_its_secrets_and_no_others(name):
    assert name in OF_SERVICES or name.removesuffix("2") in OF_PROGRAMS
    assert set(SERVICES[name]["secrets"]) == of_service(name)
    assert [one for one in SERVICES[name].get("volumes", ()) if "secrets" in one] == []


def test_several_servers_have_no_more_than_what_they_check_each_other_by():
    added = {name: set(one.get("secrets", ())) | files(one.get("environment", {}).values()) for name, one in HA.items()}

    assert {name: some for name, some in added.items() if some} == {"mariadb": {"mariadb_check"}}


def containers(pod):
    spec = pod["spec"]["template"]["spec"]
    return spec, [*spec.get("initContainers", []), *spec["containers"]]


def mounted(spec, container):
    """The keys of Secrets that are files in the container; KeyError if a Secret is there as a whole."""
    volumes = {one["name"]: one["secret"] for one in spec["volumes"] if "secret" in one}
    found = [volumes[one["name"]] for one in container["volumeMounts"] if one["name"] in volumes]
    assert {one["secretName"] for one in found} <= {"naru"}
    assert [item for one in found for item in one["items"] if item["key"] != item["path"]] == []
    return {item["key"] for one in found for item in one["items"]}


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["metadata"]["name"])
def test_a_container_of_a_pod_has_its_secrets_and_no_others(pod):
    spec, all_of_them = containers(pod)

    for container in all_of_them:
        # What waits for the tables is the same program, a moment before.
        name = pod["metadata"]["name"] if container["name"] == "migrated" else container["name"]
        assert mounted(spec, container) == OF_PROGRAMS[name], container["name"]
        text = json.dumps(container)
        assert "secretKeyRef" not in text
        assert "secretRef" not in text
    assert {container["name"] for container in all_of_them} & OF_PROGRAMS.keys()


def test_both_have_every_program():
    named = {container["name"] for pod in PODS for container in containers(pod)[1]} - {"migrated"}

    assert named == set(OF_PROGRAMS)
    assert set(SERVICES) >= set(OF_PROGRAMS)


def told_in_pods():
    """By program the variables that name a secret."""
    (base,) = (one for one in MANIFESTS if one["kind"] == "Kustomization" and "web.yaml" in one["resources"])
    all_have = dict(line.split("=", 1) for line in base["configMapGenerator"][0]["literals"])
    for pod in PODS:
        for container in containers(pod)[1]:
            if container["name"] == "migrated":
                continue
            given = {one["name"]: str(one.get("value", "")) for one in container.get("env", ())}
            yield container["name"], (all_have if "envFrom" in container else {}) | given


def told_in_services():
    for name, service in SERVICES.items():
        if name.removesuffix("2") in OF_PROGRAMS and name not in OF_SERVICES:
            yield name.removesuffix("2"), service["environment"]


TOLD = [(name, {key: value for key, value in given.items() if "/run/secrets/" in value})
        for name, given in (*told_in_pods(), *told_in_services())]  # fmt: skip


@pytest.mark.parametrize(("name", "variables"), TOLD, ids=lambda one: one if isinstance(one, str) else "")
def test_a_program_is_told_where_each_of_its_secrets_is(name, variables):
    assert files(variables.values()) == OF_PROGRAMS[name]
    assert len(variables) == len(OF_PROGRAMS[name])


def read(monkeypatch, folder, variables):
    """The settings as a program with these variables has them: its secrets, and no file else."""
    secrets = folder / "secrets"
    secrets.mkdir()
    content = {
        "secret_key": "k" * 64, "database_url": "mysql://naru:pw@mariadb:3306/naru",
        "backup_database_url": "mysql://backup:pw@mariadb:3306/naru", "redis_url": "redis://:pw@redis:6379/0",
    }  # fmt: skip
    for name in files(variables.values()):
        file = secrets / name
        file.write_text("" if name in OPTIONAL else content.get(name, "told"), encoding="utf-8")
        file.chmod(0o600)
    for name in ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "SECRET_KEY", "METRICS_DIR", "METRICS_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VAR_DIR", str(folder))
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("/run/secrets", str(secrets)))
    return runpy.run_path(str(ROOT / "marketdata/settings.py"))


@pytest.mark.parametrize(
    ("name", "variables"),
    [(name, one) for name, one in TOLD if name not in ("mariadb", "redis")],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_program_starts_with_its_secrets_alone(monkeypatch, tmp_path, name, variables):
    found = read(monkeypatch, tmp_path, variables)

    assert found["REDIS_URL"] == "redis://:pw@redis:6379/0"
    assert found["DATABASES"]["default"]["HOST"] == "mariadb"
    assert found["BACKUP_DATABASE"]["USER"] == ("backup" if name == "worker-backups" else "naru")
    assert found["HAS_SECRET_KEY"] == ("secret_key" in OF_PROGRAMS[name])
    assert found["MAY_LACK_SECRET_KEY"] != found["HAS_SECRET_KEY"]
    assert (found["OIDC_CLIENT_SECRET"], found["EMAIL_HOST_PASSWORD"], found["KAFKA_OPTIONS"]) == ("", "", "")
    assert (found["SENTRY_DSN"], found["BACKUP_OFFSITE_SECRET_KEY"]) == ("", "")


def test_a_program_of_a_machine_that_has_no_files_lacks_its_key(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", "mysql://naru:pw@mariadb:3306/naru")
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.setenv("VAR_DIR", str(tmp_path))

    found = runpy.run_path(str(ROOT / "marketdata/settings.py"))

    assert (found["HAS_SECRET_KEY"], found["MAY_LACK_SECRET_KEY"]) == (False, False)


def test_the_table_of_the_readme_is_this_one():
    text = (DOCKER / "README.md").read_text(encoding="utf-8").partition("\n## Secrets\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)[1:]
    (every,) = (set(re.findall(r"`(\w+)`", secrets)) for names, secrets in rows if "`" not in names)
    shown = {
        name: set(re.findall(r"`(\w+)`", secrets))
        for names, secrets in rows
        for name in re.findall(r"`([\w-]+)`", names)
    }

    assert every == PROCESS
    wanted = {name: some - PROCESS for name, some in OF_PROGRAMS.items() if some - PROCESS}
    wanted |= {name: some for name, some in OF_SERVICES.items() if some}
    assert shown == wanted


def test_a_secret_for_the_cluster_is_made_of_what_pods_have():
    text = (DOCKER / "kubernetes/README.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"for name in ([\w ]+); do", text)

    assert set(listed.split()) == set().union(*OF_PROGRAMS.values())
