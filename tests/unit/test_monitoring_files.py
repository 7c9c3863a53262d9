"""Rules, runbooks and boards of docker/prometheus and docker/grafana: they name what there is, and each other."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from celery_app import TIMETABLE
from marketdata import metrics
from marketdata.launcher import supervisor
from marketdata.monitoring import figures
from tests.servers.alertmanager import BESIDE

ROOT = Path(__file__).resolve().parents[2]
FOLDER, RUNBOOKS = ROOT / "docker/prometheus", ROOT / "docs/runbooks"
RULES = [
    rule
    for file in sorted((FOLDER / "rules").glob("*.yml"))
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
BOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "docker/grafana/boards").iterdir()
}
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in board["panels"]]
TESTS = sorted((FOLDER / "rules/tests").glob("*.yml"))
TESTED = [one for file in TESTS for one in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]


def exported():
    """Every name that a query may use: of histograms, those of their three series."""
    for one in vars(metrics).values():
        if isinstance(one, MetricWrapperBase):
            parts = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}.get(str(one._type), ("",))
            yield from (one._name + part for part in parts)
    yield from figures.ALL
    yield from ("up", *RECORDED)


def named(expression):
    names = r"\b(?:(?:naru|alertmanager_|prometheus_)[a-z0-9_:]*|process_[a-z_]+|up)\b"
    return set(re.findall(names, re.sub(r'"[^"]*"', "", expression)))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_names_what_is_exported(rule):
    assert named(rule["expr"]) or rule["expr"] == "vector(1)"
    assert named(rule["expr"]) - {"process", "naru"} <= {*exported(), *BESIDE}


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=lambda one: one if isinstance(one, str) else one["title"])
def test_a_panel_names_what_is_exported_and_says_what_it_is_in_both_languages(board, panel):
    for target in panel["targets"]:
        assert named(target["expr"])
        assert named(target["expr"]) <= set(exported())
    assert panel["datasource"]["uid"] == "prometheus"
    assert panel["title"] in ("Redis", "CPU") or re.search("[가-힣]", panel["title"])
    assert panel["description"].isascii()


def test_boards_are_the_eight_and_each_has_a_place_of_its_own():
    assert set(BOARDS) == {"overview", "ingest", "workers", "database", "feed", "quality", "terminal", "alerts"}
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)
    for board in BOARDS.values():
        taken = [
            (x, y)
            for panel in board["panels"]
            for place in [panel["gridPos"]]
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(taken) == len(set(taken))
        assert max(x for x, _ in taken) < 24


def test_each_alert_has_its_page_and_each_page_its_alert():
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}

    assert pages == set(ALERTS)
    listed = set(re.findall(r"\((Naru\w+)\.md\)", (RUNBOOKS / "README.md").read_text(encoding="utf-8")))
    assert listed == pages


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_urgent_it_is_and_what_to_do(name):
    rule = ALERTS[name]
    page = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")

    assert rule["labels"]["severity"] in ("page", "ticket", "watchdog")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    assert re.search("[가-힣]", rule["annotations"]["summary"])
    for heading in ("What it means.", "What the desk sees.", "What to do."):
        assert f"**{heading}**" in page
    assert f"Severity `{rule['labels']['severity']}`" in page


def test_commands_of_a_runbook_are_there():
    commands = {path.stem for path in ROOT.glob("*/management/commands/*.py")} | {"migrate", "createsuperuser"}
    pages = "".join(path.read_text(encoding="utf-8") for path in RUNBOOKS.glob("*.md"))

    assert set(re.findall(r"manage\.py (\w+)", pages)) <= commands
    assert set(re.findall(r"\bNaru[A-Z]\w+", pages)) <= set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_is_tested_to_fire_and_not_to(name):
    told = [
        bool(one["exp_alerts"])
        for test in TESTED
        for one in test.get("alert_rule_test", ())
        if one["alertname"] == name
    ]

    assert set(told) == ({True} if name == "NaruWatchdog" else {False, True})


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_what_is_recorded_is_tested_to_have_a_value(name):
    asked = [one for test in TESTED for one in test.get("promql_expr_test", ()) if name in named(one["expr"])]

    assert any(one["exp_samples"] for one in asked)


def test_alertmanager_silences_alerts_that_there_are():
    config = yaml.safe_load((FOLDER / "alertmanager.yml").read_text(encoding="utf-8"))
    rules = " ".join(
        matcher for rule in config["inhibit_rules"] for side in ("source_matchers", "target_matchers")
        for matcher in rule[side]
    )  # fmt: skip

    assert set(re.findall(r"\bNaru[A-Z]\w+", rules)) <= set(ALERTS)


@pytest.mark.parametrize("file", ["prometheus.yml", "compose.yml", "kubernetes.yml"])
def test_who_sends_alerts_is_asked_whether_they_leave(file):
    told = yaml.safe_load((FOLDER / file).read_text(encoding="utf-8"))

    assert told["alerting"]
    assert {"naru", "prometheus", "alertmanager"} <= {job["job_name"] for job in told["scrape_configs"]}


def test_prometheus_asks_each_program_where_it_answers():
    programs = supervisor.programs(port=8000, redis=None, terminal=None)
    of_units = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"][0]
    of_services = yaml.safe_load((FOLDER / "compose.yml").read_text(encoding="utf-8"))["scrape_configs"][0]

    told = {one["labels"]["process"]: one["targets"] for one in of_units["static_configs"]}

    assert told == {program.name: [f"127.0.0.1:{program.metrics_port}"] for program in programs}
    (found,) = of_services["dns_sd_configs"]
    every = supervisor.programs(port=8000, redis=None, terminal=None, fanout=True)
    second = {"ingest2", "web2", "beat2"}  # of the profile `ha`
    assert set(found["names"]) == {program.name for program in every} | second


COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text(encoding="utf-8"))["services"]
EXPORTERS = {"node": 9100, "mysqld": 9104, "redis": 9121, "postgres": 9187}
"""What each exporter's own documents call its port."""


def jobs(file):
    told = yaml.safe_load((FOLDER / file).read_text(encoding="utf-8"))
    return {job["job_name"]: job for job in told["scrape_configs"]}


def targets(job):
    """Names of services that a job of compose.yml asks, with their ports."""
    static = [target for one in job.get("static_configs", ()) for target in one["targets"]]
    rewritten = [one["replacement"] for one in job.get("relabel_configs", ()) if one["target_label"] == "__address__"]
    found = [f"{name}:{one['port']}" for one in job.get("dns_sd_configs", ()) for name in one["names"]]
    return set(rewritten or static + found)


def test_prometheus_of_the_containers_asks_each_exporter_and_each_exporter_its_server():
    asked = jobs("compose.yml")

    for kind, port in EXPORTERS.items():
        assert targets(asked[kind]) == {f"{kind}-exporter:{port}"}
        assert COMPOSE[f"{kind}-exporter"]["profiles"] == [
            "monitoring-postgresql" if kind == "postgres" else "monitoring"
        ]
    for kind, servers in (("mysqld", "mariadb"), ("redis", "redis")):
        (found,) = asked[kind]["dns_sd_configs"]
        assert set(found["names"]) == {name for name in COMPOSE if re.fullmatch(rf"{servers}\d?", name)}
        (parameter,) = (one for one in asked[kind]["relabel_configs"] if one["target_label"] == "__param_target")
        assert parameter["source_labels"] == ["__meta_dns_name"]
        assert parameter["replacement"].endswith(f"$1:{found['port']}")
    # The password of each is found by how its address is written.
    prepare = (ROOT / "docker/prepare").read_text(encoding="utf-8")
    user = COMPOSE["redis-exporter"]["environment"]["REDIS_USER"]
    for name in asked["redis"]["dns_sd_configs"][0]["names"]:
        assert f'"redis://{user}@{name}:6379": "%s"' in prepare


@pytest.mark.parametrize("kind", EXPORTERS)
def test_an_exporter_is_given_no_password_on_its_command_line(kind):
    service = COMPOSE[f"{kind}-exporter"]
    words = " ".join(service["command"])

    assert not re.search("password(?!-file)", words, re.IGNORECASE)
    assert "ports" not in service


def test_rules_and_boards_need_no_exporter():
    asked = [rule["expr"] for rule in RULES] + [target["expr"] for _, panel in PANELS for target in panel["targets"]]
    names = " ".join(re.sub(r'"[^"]*"', "", one) for one in asked)

    assert re.findall(r"(?<![:\w])(?:mysql|redis|pg|node)_[a-z]+", names) == []


def test_a_host_without_containers_may_have_the_same_jobs():
    text = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")

    assert set(re.findall(r"# - job_name: (\w+)", text)) == set(EXPORTERS)


def test_every_program_is_missing_where_it_never_was_save_that_of_backups_which_a_database_elsewhere_makes():
    programs = {one.name for one in supervisor.programs(port=8000, redis=None, terminal=None)}

    named_there = re.findall(
        r'label_replace\(vector\(0\), "process", "([a-z-]+)"', ALERTS["NaruProgramMissing"]["expr"]
    )

    assert sorted(named_there) == sorted(programs - {"worker-backups"})


def test_tasks_that_have_to_end_well_are_those_of_the_timetable_and_each_may_never_have():
    expression = ALERTS["NaruTaskNotDone"]["expr"]
    (watched,) = re.findall(r'task=~"([^"]+)"', expression)

    assert set(watched.split("|")) <= {entry["task"] for entry in TIMETABLE.values()}
    assert re.findall(r'"task", "([a-z_.]+)"', expression) == watched.split("|")
