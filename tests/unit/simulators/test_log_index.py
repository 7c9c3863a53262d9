"""The index of the tests takes what the template of docker/elk has, and refuses all else as Elasticsearch does."""

import json

import pytest

from tests.simulators.log_index import TEMPLATE, LogIndex, Mapping, Refused

TEMPLATE_OF_LOGS = json.loads(TEMPLATE.read_text(encoding="utf-8"))
GOOD = {"@timestamp": "2026-11-28T11:49:40.878061Z", "log.level": "info", "log": {"logger": "x"}, "labels": {"a": "1"}}


def test_a_document_that_fits_is_taken_once():
    index = LogIndex()
    body = "".join(json.dumps(line) + "\n" for line in ({"create": {"_index": "i", "_id": "1"}}, GOOD) * 2)

    answer = index.bulk(body)

    assert [item["create"]["status"] for item in answer["items"]] == [201, 409]
    assert (answer["errors"], index.documents, index.conflicts) == (True, {"1": GOOD}, 1)


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"price": "1"}, "strict_dynamic_mapping_exception"),
        ({"log.offset": 5}, "strict_dynamic_mapping_exception"),
        ({"naru.task.more": "x"}, "strict_dynamic_mapping_exception"),
        ({"@timestamp": "yesterday"}, "document_parsing_exception"),
        ({"@timestamp": "2026-02-30T00:00:00Z"}, "document_parsing_exception"),
        ({"process.pid": "12"}, "document_parsing_exception"),
        ({"naru.batches": [1, 1 << 64]}, "document_parsing_exception"),
        ({"naru.traces": ["a", 5]}, "document_parsing_exception"),
        ({"error": "words"}, "document_parsing_exception"),
        ({"labels": {"client": 5}}, "document_parsing_exception"),
    ],
)
def test_a_field_that_is_not_known_or_of_another_type_is_refused(changed, kind):
    with pytest.raises(Refused) as refused:
        Mapping(TEMPLATE_OF_LOGS).check(GOOD | changed)

    assert refused.value.kind == kind


def test_a_document_without_a_time_is_refused():
    with pytest.raises(Refused):
        Mapping(TEMPLATE_OF_LOGS).check({"message": "x"})


ECS_TYPES = {  # of the schema's own list of fields, version 9
    "@timestamp": "date", "message": "match_only_text", "tags": "keyword", "ecs.version": "keyword",
    "data_stream.type": "constant_keyword", "data_stream.dataset": "constant_keyword",
    "data_stream.namespace": "constant_keyword", "error.type": "keyword", "error.message": "match_only_text",
    "error.stack_trace": "wildcard", "event.id": "keyword", "event.action": "keyword", "event.dataset": "keyword",
    "event.module": "keyword", "host.hostname": "keyword", "host.name": "keyword", "http.request.id": "keyword",
    "log.level": "keyword", "log.logger": "keyword", "log.file.path": "keyword", "log.origin.function": "keyword",
    "log.origin.file.name": "keyword", "log.origin.file.line": "long", "process.name": "keyword",
    "process.pid": "long", "process.thread.name": "keyword", "service.name": "keyword",
    "service.version": "keyword", "service.node.name": "keyword", "span.id": "keyword", "trace.id": "keyword",
    "transaction.id": "keyword",
}  # fmt: skip


def leaves(properties, place=""):
    for name, field in properties.items():
        if "properties" in field:
            yield from leaves(field["properties"], f"{place}{name}.")
        else:
            yield f"{place}{name}", field["type"]


def test_fields_of_the_schema_have_its_types_and_others_are_ours():
    found = dict(leaves(TEMPLATE_OF_LOGS["template"]["mappings"]["properties"]))

    ours = {name for name in found if name.startswith("naru.")}
    assert {name: kind for name, kind in found.items() if name not in ours} == ECS_TYPES | {"labels": "flattened"}
    assert ours == {"naru.batches", "naru.traces", "naru.task.id", "naru.task.name"}
