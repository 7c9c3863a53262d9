"""What stands for Elasticsearch where log lines are sent to: the part of its Bulk API that shippers use, and an index
that takes a document only if the index template of `docker/elk/` knows each field and its type.

It answers as the Bulk API is documented (status of each item, `strict_dynamic_mapping_exception`, a conflict for an id
that is there). It is no Elasticsearch: nothing is searched, and of a type only what our template uses is known.
"""

from __future__ import annotations

import datetime
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

TEMPLATE = Path(__file__).resolve().parents[2] / "docker/elk/index-template.json"
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_LONG = 1 << 63


class Refused(ValueError):
    """The mapping does not take a document; the kind of error that Elasticsearch names, and why."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class Mapping:
    """The mappings of an index template."""

    def __init__(self, template: dict[str, Any]) -> None:
        self._properties = template["template"]["mappings"]["properties"]
        assert template["template"]["mappings"]["dynamic"] == "strict"

    def check(self, document: dict[str, Any]) -> None:
        """Refused if a field is not known, or its value is of another type. Dots in a name are levels."""
        if "@timestamp" not in document:
            raise Refused("document_parsing_exception", "data stream timestamp field [@timestamp] is missing")
        self._object(document, self._properties, "")

    def _object(self, content: dict[str, Any], properties: dict[str, Any], place: str) -> None:
        for dotted, value in content.items():
            name, _, rest = dotted.partition(".")
            self._field({rest: value} if rest else value, properties.get(name), f"{place}{name}")

    def _field(self, value: Any, known: dict[str, Any] | None, place: str) -> None:
        if known is None:
            raise Refused("strict_dynamic_mapping_exception", f"introduction of [{place}] is not allowed")
        if "properties" in known:
            if not isinstance(value, dict):
                raise Refused("document_parsing_exception", f"object mapping for [{place}] found a value")
            self._object(value, known["properties"], place + ".")
            return
        for one in value if isinstance(value, list) else [value]:
            if not _fits(one, known["type"]):
                raise Refused(
                    "document_parsing_exception", f"failed to parse [{place}] of type [{known['type']}]: {one!r}"
                )


def _fits(value: Any, kind: str) -> bool:
    if kind == "date":
        if not isinstance(value, str) or not _DATE.fullmatch(value):
            return False
        try:
            datetime.datetime.fromisoformat(value)
        except ValueError:
            return False
        return True
    if kind == "long":
        return type(value) is int and -_LONG <= value < _LONG
    if kind == "flattened":
        return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    if kind in ("keyword", "constant_keyword", "match_only_text", "wildcard"):
        return isinstance(value, str)
    raise AssertionError(f"this index knows no type {kind}")


class LogIndex:
    """`with LogIndex() as index:` a server on a free port of this machine. `documents` by their id; `refused` are
    (document, kind of error)."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.refused: list[tuple[dict[str, Any], str]] = []
        self.puts: dict[str, Any] = {}
        self.users: set[str] = set()
        self.conflicts = 0
        self.away = False
        """While it is, every request is answered with 503."""
        self._mapping = Mapping(json.loads(TEMPLATE.read_text(encoding="utf-8")))

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def bulk(self, body: str) -> dict[str, Any]:
        """The answer to a request of the Bulk API; what fits is kept."""
        lines = [line for line in body.split("\n") if line.strip()]
        items = [
            self._create(json.loads(what), json.loads(said)) for what, said in zip(*[iter(lines)] * 2, strict=True)
        ]
        return {"took": 1, "errors": any("error" in item["create"] for item in items), "items": items}

    def _create(self, what: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        ((action, where),) = what.items()
        assert action == "create", "a data stream takes `create` alone"
        assert "_type" not in where or where["_type"] == "_doc"
        told = {"_index": where["_index"], "_id": where.get("_id", "")}
        if where["_id"] in self.documents:
            self.conflicts += 1
            return {"create": told | {"status": 409, "error": {"type": "version_conflict_engine_exception"}}}
        try:
            self._mapping.check(document)
        except Refused as error:
            self.refused.append((document, error.kind))
            return {"create": told | {"status": 400, "error": {"type": error.kind, "reason": str(error)}}}
        self.documents[where["_id"]] = document
        return {"create": told | {"status": 201, "result": "created"}}


def _handler(index: LogIndex) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            index.users.add(self.headers.get("Authorization", ""))
            if index.away:
                self._answer(503, {"error": "away"})
            elif self.path.split("?")[0].endswith("/_bulk"):
                self._answer(200, index.bulk(body.decode()))
            elif self.command in ("PUT", "POST"):
                index.puts[self.path.lstrip("/")] = json.loads(body)
                self._answer(200, {"acknowledged": True})
            else:
                self._answer(200, {"version": {"number": "8.17.0"}})

        do_HEAD = do_GET = do_POST = do_PUT = _handle  # noqa: N815 - the names that http.server calls

        def log_message(self, *given: Any) -> None:
            """Says nothing."""

    return Handler
