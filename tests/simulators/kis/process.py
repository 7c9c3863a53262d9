"""The KIS simulator as a test starts it."""

import json

from tests.simulators.process import Simulator


class SimulatorProcess(Simulator):
    """`with SimulatorProcess("--symbols", "5") as kis:`, then `kis.websocket` and `kis.rest` are its addresses; its
    account has its open `sessions` and their `registrations`."""

    def __init__(self, *arguments: str) -> None:
        super().__init__("tests.simulators.kis", *arguments)
        self.websocket: str = self.told["websocket"]
        self.rest: str = self.told["rest"]
        self.symbols: list[str] = self.told["symbols"]

    def samples(self) -> list[tuple[str, str, int, int]]:
        """When some of the trades were made: TR, code, the day's volume after it, UTC microseconds."""
        return [(tr_id, code, volume, at_us) for tr_id, code, volume, at_us in self.order("samples")["samples"]]

    def settle(self) -> None:
        """Let it send one more trade of each registered stock."""
        self.order("settle")

    def fault(self, fault: str, **arguments: object) -> None:
        """Let something go wrong now."""
        self.order("fault " + json.dumps({"fault": fault, **arguments}))
