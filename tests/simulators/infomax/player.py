"""A reader that plays scripted blocks: what a sheet shows at each reading, or why it cannot be read."""

from collections.abc import Iterable, Sequence

from terminals.sources.infomax.cells import Cell
from terminals.sources.infomax.column_map import Block


class SheetPlayer:
    """Each reading plays the next of `script`, a block or an exception; after the last one it stays as it is."""

    def __init__(self, script: Iterable[Block | Exception], beats: Sequence[Cell] = (None,)) -> None:
        self._script, self._beats = list(script), beats
        self.readings = 0
        self.closed = False

    @property
    def done(self) -> bool:
        """Everything was read at least once."""
        return self.readings >= len(self._script)

    def read_block(self) -> Block:
        scene = self._script[min(self.readings, len(self._script) - 1)]
        self.readings += 1
        if isinstance(scene, Exception):
            raise scene
        return scene

    def read_cell(self, address: str) -> Cell:
        return self._beats[min(self.readings - 1, len(self._beats) - 1)]

    def close(self) -> None:
        self.closed = True
