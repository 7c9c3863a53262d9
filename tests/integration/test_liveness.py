"""Each process says by a file that its main loop turns."""

import pytest

from tests.road import Road
from tests.waiting import until

pytestmark = [pytest.mark.usefixtures("road_database"), pytest.mark.once]

PROCESSES = {
    "ingest": ["manage.py", "runingest"],
    "worker": ["manage.py", "runworkers", "-c", "1", "-n", "alive@%h", "-Q", "raw_market_data"],
    "slow": ["-m", "celery", "-A", "celery_app", "worker", "-n", "slow@%h", "-c", "1", "-Q", "chart-data"],
    "beat": ["-m", "celery", "-A", "celery_app", "beat", "--pidfile="],
}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_renews_the_file_by_which_it_is_asked_whether_it_lives(tmp_path, redis_server, name):
    file = tmp_path / "alive"
    with Road(tmp_path / "road", redis_server.url, ALIVE_FILE=str(file)) as road:
        road.start(name, PROCESSES[name])
        until(file.exists, seconds=120, what="the first sign of life")
        first = file.stat().st_mtime_ns

        until(lambda: file.stat().st_mtime_ns > first, seconds=120, what="another one")
