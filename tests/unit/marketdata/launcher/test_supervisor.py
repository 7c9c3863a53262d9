import shlex
from configparser import RawConfigParser
from pathlib import Path

from marketdata.launcher import supervisor
from marketdata.launcher.supervisor import Program

LINK = ["--server", "127.0.0.1:7070", "--client", "demo"]


def written(*programs: Program, run: Path = Path("/srv/run")) -> RawConfigParser:
    """The configuration, read back."""
    parser = RawConfigParser(inline_comment_prefixes=(" ;", "\t;"))
    text = supervisor.configuration(programs, root=Path("/srv"), run=run, log=Path("/srv/log"), now=1000.0)
    parser.read_string(text)
    return parser


def test_whatever_dies_is_started_again_however_often():
    conf = written(Program("web", ["daphne"], "doors"))

    assert conf["program:web"]["autorestart"] == "true"
    assert int(conf["program:web"]["startretries"]) > 100_000


def test_a_replay_that_reached_its_end_is_left_in_peace():
    replay = supervisor.replayed_file(Path("/srv/trades.csv"), LINK, speed=60, loop=False, market="CME")

    conf = written(replay)

    assert conf["program:replay"]["autorestart"] == "unexpected"
    assert conf["program:replay"]["exitcodes"] == "0,2"


def test_a_worker_is_told_to_stop_without_its_children():
    listed = supervisor.programs(port=8000, redis=None, terminal=None)

    conf = written(*listed)

    assert conf["program:worker"]["stopasgroup"] == "false"
    assert conf["program:worker"]["killasgroup"] == "true"
    assert conf["program:web"]["stopasgroup"] == "true"


def test_what_nobody_waits_for_leaves_the_first_moments_to_the_others():
    terminal = supervisor.simulated_market(LINK, trades_per_s=300)

    conf = written(*supervisor.programs(port=8000, redis=["valkey-server"], terminal=terminal))

    begins = {
        section.partition(":")[2]: float(shlex.split(conf[section]["command"])[5])
        for section in conf.sections()
        if section.startswith("program:")
    }
    at_once = {name for name, moment in begins.items() if moment == 0.0}
    assert at_once == {"valkey", "worker", "ingest", "web", "market"}
    assert {moment for name, moment in begins.items() if name not in at_once} == {1000.0 + supervisor.LATER_S}


def test_every_program_dies_with_the_supervisor():
    conf = written(*supervisor.programs(port=8000, redis=["valkey-server"], terminal=None))

    commands = [shlex.split(conf[section]["command"]) for section in conf.sections() if section.startswith("program:")]
    assert len(commands) == 10
    assert all(Path(command[3]).name == "child_process.py" for command in commands)


def test_the_workers_end_together_after_what_gives_them_work_and_before_the_broker():
    listed = supervisor.programs(
        port=8000, redis=["valkey-server"], terminal=supervisor.simulated_market(LINK, trades_per_s=300)
    )

    conf = written(*listed)

    groups = [section for section in conf.sections() if section.startswith("group:")]
    ends = sorted(groups, key=lambda group: int(conf[group]["priority"]), reverse=True)
    doors, workers, broker = (set(conf[group]["programs"].split(",")) for group in ends)
    assert doors == {"beat", "ingest", "web", "market"}
    assert workers == {"worker", "worker-recovery", "worker-slow", "worker-alerts", "worker-upkeep", "worker-backups"}
    assert broker == {"valkey"}


def test_every_queue_of_the_house_has_a_worker():
    import celery_app

    listed = supervisor.programs(port=8000, redis=None, terminal=None)

    served = [queue for program in listed for queue in _after(program.command, "-Q").split(",") if queue]
    assert sorted(served) == sorted(celery_app.QUEUES)


def test_a_path_with_spaces_and_percent_signs_survives():
    odd = Program("odd", ["/opt/a b/100%/run", "it's"], "doors")

    command = written(odd)["program:odd"]["command"]

    assert shlex.split(command.replace("%%", "%"))[-2:] == ["/opt/a b/100%/run", "it's"]


def test_without_room_for_a_socket_there_is_no_control_socket():
    conf = written(Program("web", ["daphne"], "doors"), run=Path("/srv") / ("deep/" * 30))

    assert "unix_http_server" not in conf


def test_the_password_of_the_broker_is_on_no_command_line():
    text = supervisor.redis_configuration(settings=Path("/s/naru.conf"), port=6390, password="geheim", data=Path("/d"))

    assert "requirepass geheim" in text
    assert "bind 127.0.0.1" in text
    assert text.startswith("include")  # what follows it wins


def _after(command: list[str], option: str) -> str:
    return command[command.index(option) + 1] if option in command else ""
