"""The manifests of docker/kubernetes: each process is there, closed, and asked whether it lives."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from marketdata.launcher import supervisor
from marketdata.monitoring import figures
from terminals.sources.kis import credentials
from tests import manifests

FOLDER = Path(__file__).resolve().parents[2] / "docker/kubernetes"
PROMETHEUS = FOLDER.parent / "prometheus"
COMPOSE = yaml.safe_load((FOLDER.parent / "compose.yaml").read_text(encoding="utf-8"))
MANIFESTS = [
    manifest
    for file in sorted(FOLDER.rglob("*.yaml"))
    for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8"))
]
PODS = {
    manifest["metadata"]["name"]: manifest["spec"]["template"]
    for manifest in MANIFESTS
    if manifest["kind"] in ("Deployment", "StatefulSet", "Job")
}
CONTAINERS = [
    (pod, container)
    for pod in PODS
    for container in [*PODS[pod]["spec"].get("initContainers", []), *PODS[pod]["spec"]["containers"]]
]


def named(kind):
    return {manifest["metadata"]["name"]: manifest for manifest in MANIFESTS if manifest["kind"] == kind}


def test_the_pods_run_what_the_one_command_runs():
    wanted = {
        program.name: {word for word in program.command[1:] if word not in ("--loglevel", "WARNING")}
        for program in supervisor.programs(port=8000, redis=None, terminal=None, fanout=True)
    }

    started = {one["name"]: set(one["args"]) - {"--host", "0.0.0.0"} for _, one in CONTAINERS if one["name"] in wanted}

    assert started == wanted


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_keeps_to_the_restricted_standard(pod):
    spec = PODS[pod]["spec"]

    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 10_000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert named("Namespace")["naru"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize(("pod", "container"), CONTAINERS, ids=lambda one: one if isinstance(one, str) else one["name"])
def test_a_container_is_closed_limited_and_asked_whether_it_lives(pod, container):
    closed = container["securityContext"]

    assert (closed["allowPrivilegeEscalation"], closed["readOnlyRootFilesystem"]) == (False, True)
    assert closed["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert container["name"] in ("migrated", "migrate") or "livenessProbe" in container
    volumes = {one["name"] for one in PODS[pod]["spec"]["volumes"]} | {"data", "backups"}
    assert {one["name"] for one in container["volumeMounts"]} <= volumes


def test_nothing_begins_before_its_tables_are_there():
    deployments = named("Deployment")

    waiting = {
        name
        for name, one in deployments.items()
        if [first["args"] for first in one["spec"]["template"]["spec"]["initContainers"]]
        == [["manage.py", "migrate", "--check"]]
    }

    assert waiting == set(deployments)


def test_what_has_several_pods_loses_one_at_a_time():
    several = {name for name, one in named("Deployment").items() if one["spec"]["replicas"] > 1}

    guarded = {
        one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        for one in named("PodDisruptionBudget").values()
        if one["spec"]["maxUnavailable"] == 1
    }

    assert guarded == several == {"web", "ingest", "worker"}


def test_a_pod_lets_in_and_out_only_what_a_rule_names():
    rules = named("NetworkPolicy")

    assert rules["nothing-else"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    processes = {pod for pod, one in PODS.items() if one["metadata"]["labels"].get("naru/process") == "true"}
    assert set(PODS) - processes == {"mariadb", "redis"}
    ports = {
        port["name"]
        for _, one in CONTAINERS
        for port in one.get("ports", ())
        if port["name"] not in ("mariadb", "redis")
    }
    assert ports == {"http", "terminals", "metrics"}


def ports_of(rule):
    return {port["port"] for way in rule["spec"]["egress"] for port in way["ports"]}


def test_who_asks_kis_may_reach_where_its_accounts_are():
    rule = named("NetworkPolicy")["upkeep-to-kis"]

    wanted = {urlsplit(address).port for address in (credentials.REAL_REST, credentials.VIRTUAL_REST)}
    assert wanted < ports_of(rule)
    assert rule["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "worker-upkeep"


@pytest.mark.parametrize(
    ("rule", "ports"),
    [
        ("alerts-to-the-internet", {25, 443, 465, 587}), ("alerts-to-the-house", {25, 443, 465, 587}),
        ("web-to-the-login-provider", {443}), ("web-to-the-login-provider-of-the-house", {443}),
        ("backups-to-another-place", {443, 9000}), ("errors-and-traces", {443, 4318}),
    ],
)  # fmt: skip
def test_each_way_out_has_a_rule_of_its_own(rule, ports):
    found = named("NetworkPolicy")[rule]
    selector = found["spec"]["podSelector"]
    names = {one["metadata"]["labels"]["app.kubernetes.io/name"] for one in PODS.values()}

    assert ports_of(found) == ports
    assert found["spec"]["policyTypes"] == ["Egress"]
    assert set(selector.get("matchLabels", {}).values()) <= names
    assert f"`{rule}`" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not manifests.built(), reason=manifests.NOT_BUILT)
def test_what_kustomize_puts_together_is_whole():
    made = manifests.built()

    assert {"single", "desk", "desk-kafka", "base with kis", "base with kafka", "base with outside"} <= set(made)
    for name, all_of_it in made.items():
        pods = [one for one in all_of_it if one["kind"] in ("Deployment", "StatefulSet", "Job")]
        for pod in pods:
            spec = pod["spec"]["template"]["spec"]
            volumes = {one["name"] for one in spec["volumes"]} | {"data", "backups"}
            containers = [*spec.get("initContainers", []), *spec["containers"]]
            assert {mount["name"] for one in containers for mount in one["volumeMounts"]} <= volumes
            if name.startswith("desk"):
                assert [one["image"] for one in containers if not one["image"].startswith("registry.")] == []
    scalers = {
        name: {one["kind"] for one in some} & {"HorizontalPodAutoscaler", "ScaledObject"} for name, some in made.items()
    }
    assert scalers["desk"] == {"HorizontalPodAutoscaler"}
    assert scalers["desk-keda"] == scalers["base with keda"] == {"ScaledObject"}
    (upkeep,) = (one for one in made["base with kis"] if one["metadata"]["name"] == "worker-upkeep")
    (container,) = upkeep["spec"]["template"]["spec"]["containers"]
    assert {"name": "NARU_KIS_KEYS_FILE", "value": "/run/kis/kis_keys"} in container["env"]
    assert [one["mountPath"] for one in container["volumeMounts"] if one["name"] == "kis"] == ["/run/kis"]


def test_prometheus_finds_every_process_and_nobody_else_does():
    told = {one["name"]: [port for port in one.get("ports", ()) if port["name"] == "metrics"] for _, one in CONTAINERS}
    (base,) = (one for one in MANIFESTS if one["kind"] == "Kustomization" and "web.yaml" in one["resources"])
    settings = dict(line.split("=", 1) for line in base["configMapGenerator"][0]["literals"])
    wanted = {program.name for program in supervisor.programs(port=8000, redis=None, terminal=None, fanout=True)}

    assert {name for name, ports in told.items() if ports} == wanted
    assert {port["containerPort"] for ports in told.values() for port in ports} == {int(settings["METRICS_PORT"])}
    asked = {
        pod: one["metadata"].get("annotations", {}).get("prometheus.io/port")
        for pod, one in PODS.items()
        if pod not in ("redis", "migrate")
    }
    assert set(asked.values()) == {settings["METRICS_PORT"]}
    (rule,) = named("NetworkPolicy")["prometheus-to-processes"]["spec"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"naru/prometheus": "true"}}}]
    assert rule["ports"] == [{"protocol": "TCP", "port": "metrics"}]


def scraped():
    jobs = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text(encoding="utf-8"))["scrape_configs"]
    (job,) = (one for one in jobs if one["job_name"] == "naru")
    return job, {one.get("target_label"): one for one in job["relabel_configs"]}


def test_prometheus_of_the_cluster_gives_the_labels_that_alerts_ask_for():
    job, labels = scraped()
    (found,) = job["kubernetes_sd_configs"]
    rules = "".join(path.read_text(encoding="utf-8") for path in (PROMETHEUS / "rules").glob("*.yml"))

    assert job["job_name"] == "naru"
    assert set(re.findall(r'job=\\?"(\w+)', rules)) == {"naru"}
    assert found["namespaces"]["names"] == [named("Namespace")["naru"]["metadata"]["name"]]
    (key, value) = found["selectors"][0]["label"].split("=")
    with_port = {pod for pod, one in CONTAINERS if any(port["name"] == "metrics" for port in one.get("ports", ()))}
    assert {PODS[pod]["metadata"]["labels"][key] for pod in with_port} == {value}
    assert labels["process"]["source_labels"] == ["__meta_kubernetes_pod_container_name"]
    kept = [one for one in job["relabel_configs"] if one.get("action") == "keep"]
    assert ("metrics", ["__meta_kubernetes_pod_container_port_name"]) in [
        (one["regex"], one["source_labels"]) for one in kept
    ]
    role = named("Role")["prometheus"]["rules"]
    assert role == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]


def test_the_adapter_serves_the_metric_that_the_scaler_asks_for():
    (metric,) = named("HorizontalPodAutoscaler")["worker"]["spec"]["metrics"]
    (rule,) = yaml.safe_load((PROMETHEUS / "adapter.yml").read_text(encoding="utf-8"))["externalRules"]
    series = re.match(r"\w+", rule["seriesQuery"])
    (_job, labels) = scraped()

    assert series is not None
    assert series[0] == metric["external"]["metric"]["name"]
    assert set(rule["resources"]["overrides"]) == {"namespace"} <= labels.keys()
    assert rule["metricsQuery"] == "max(<<.Series>>{<<.LabelMatchers>>}) by (queue)"


def test_keda_asks_for_the_same_queue_and_goes_as_far():
    scaler, hpa = named("ScaledObject")["worker"]["spec"], named("HorizontalPodAutoscaler")["worker"]["spec"]
    (trigger,) = scaler["triggers"]
    (metric,) = hpa["metrics"]

    assert scaler["scaleTargetRef"]["name"] == hpa["scaleTargetRef"]["name"]
    assert (scaler["minReplicaCount"], scaler["maxReplicaCount"]) == (hpa["minReplicas"], hpa["maxReplicas"])
    assert scaler["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == hpa["behavior"]
    assert trigger["metadata"]["listName"] == metric["external"]["metric"]["selector"]["matchLabels"]["queue"]
    assert trigger["metadata"]["listLength"] == metric["external"]["target"]["averageValue"]
    (password,) = named("TriggerAuthentication")[trigger["authenticationRef"]["name"]]["spec"]["secretTargetRef"]
    assert (password["name"], password["key"]) == ("naru", "redis")


def test_secrets_are_those_of_the_services_of_compose():
    mounted = {
        value["value"].removeprefix("/run/secrets/")
        for _, one in CONTAINERS
        for value in one.get("env", ())
        if str(value["value"]).startswith("/run/secrets/")
    }
    (base,) = (one for one in MANIFESTS if one["kind"] == "Kustomization" and "web.yaml" in one["resources"])
    given = {
        line.partition("=/run/secrets/")[2]
        for line in base["configMapGenerator"][0]["literals"]
        if "=/run/secrets/" in line
    }

    # A cluster has its own databases, searches and monitoring.
    not_here = re.compile("grafana|elastic|kibana|mariadb_check|.*_exporter(_map)?|mysqld_exporter|alert_.*")
    assert mounted | given == {name for name in COMPOSE["secrets"] if not not_here.fullmatch(name)}


def test_workers_are_scaled_by_the_queue_of_what_terminals_sent():
    scaler = named("HorizontalPodAutoscaler")["worker"]["spec"]
    (metric,) = scaler["metrics"]

    assert metric["external"]["metric"]["name"] == figures.QUEUE_LENGTH.name
    assert metric["external"]["metric"]["selector"]["matchLabels"] == {"queue": "raw_market_data"}
    assert scaler["minReplicas"] == named("Deployment")[scaler["scaleTargetRef"]["name"]]["spec"]["replicas"]
