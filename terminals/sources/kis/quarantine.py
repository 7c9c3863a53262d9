"""What could not be read, kept as it came: a file of JSON lines and the one before it, so that it never grows beyond
twice its limit, and a count of each reason that nothing takes away.
"""

import base64
import json
import os
from collections import Counter
from pathlib import Path
from typing import Final

from terminals import private

MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_OF_ONE: Final = 64 * 1024
_REASONS: Final = 200
_FILE: Final = "quarantine.jsonl"
_OLDER: Final = "quarantine.1.jsonl"


class Quarantine:
    """In `folder`, which is made. A file that is full at `most_bytes` becomes the older one, which is forgotten."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
        private.make(folder)
        self._file, self._older, self._most_bytes = folder / _FILE, folder / _OLDER, most_bytes
        self.counts: Counter[tuple[str, str]] = Counter()
        """By (TR, reason); what is beyond 200 of them counts as others."""
        self.not_kept = 0
        """How many could not be written, their disk being full."""

    @property
    def total(self) -> int:
        """How many came here."""
        return self.counts.total()

    def keep(self, raw: str | bytes, *, reason: str, tr_id: str, now_us: int, records: int = 1) -> None:
        """Count it as `records`, and write it down; of one that is longer than 64 KiB its beginning."""
        key = (tr_id[:32], reason)
        self.counts[key if key in self.counts or len(self.counts) < _REASONS else ("others", "others")] += records
        line: dict[str, object] = {"time_us": now_us, "tr": key[0], "reason": reason, "length": len(raw)}
        if isinstance(raw, bytes):
            line["base64"] = base64.b64encode(raw[:_MOST_OF_ONE]).decode()
        else:
            line["text"] = raw[:_MOST_OF_ONE]
        data = json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            self._append(data)
        except OSError:
            self.not_kept += 1

    def _append(self, data: bytes) -> None:
        if self._file.exists() and self._file.stat().st_size + len(data) > self._most_bytes:
            self._file.replace(self._older)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, private.FILE_MODE)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
