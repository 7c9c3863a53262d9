"""What browsers and other pages ask of the API: compression, pages of other origins, documents without a foreign
host."""

import gzip
import json
import re

import pytest
import zstandard
from django.contrib.staticfiles import finders
from django.test import Client as Browser

from tests.integration.serving import minute, serving

__all__ = ["serving"]

pytestmark = pytest.mark.once
ORIGIN = "https://desk.example"


def test_market_data_is_compressed_for_who_takes_it_and_a_ticket_never(serving):
    serving.commit([minute(at) for at in range(60)])
    path, headers = "/v2/stocks/005930/bars", {**serving.headers, "Accept-Encoding": "gzip"}

    packed, plain = serving.get(path, headers), serving.get(path)

    assert packed["Content-Encoding"] == "gzip"
    assert len(packed.content) < len(plain.content) / 3
    assert json.loads(gzip.decompress(packed.content)) == json.loads(plain.content)
    shorter = serving.get(path, {**headers, "Accept-Encoding": "gzip, deflate, br, zstd"})
    assert (shorter["Content-Encoding"], shorter["Vary"].count("Accept-Encoding")) == ("zstd", 1)
    assert len(shorter.content) < len(plain.content) / 3
    assert zstandard.ZstdDecompressor().decompress(shorter.content) == plain.content
    refused = serving.get(path, {**headers, "Accept-Encoding": "zstd;q=0, gzip"})
    assert refused["Content-Encoding"] == "gzip"
    for other in ("/login/", "/v2/docs"):
        assert not Browser().get(other, headers={"Accept-Encoding": "gzip"}).has_header("Content-Encoding")
    ticket = Browser().post("/v2/stream/ticket", headers=headers)
    assert (ticket.status_code, ticket.has_header("Content-Encoding")) == (200, False)


def test_files_and_texts_of_the_pages_are_compressed_and_no_page_is(serving):
    chart = "/static/api/page/chart.js"
    plain = Browser().get(chart)
    content = plain.getvalue()

    for path, accepted in ((chart, "gzip"), (chart, "gzip, br, zstd"), ("/texts.js", "zstd"), ("/texts.js", "gzip")):
        packed = Browser().get(path, headers={"Accept-Encoding": accepted})

        unpack = zstandard.ZstdDecompressor().decompress if "zstd" in accepted else gzip.decompress
        whole = content if path == chart else Browser().get(path).content
        assert packed["Content-Encoding"] == ("zstd" if "zstd" in accepted else "gzip")
        assert packed["Vary"].count("Accept-Encoding") == 1
        assert int(packed["Content-Length"]) == len(packed.content) < len(whole) / 2
        assert unpack(packed.content) == whole
    packed = Browser().get(chart, headers={"Accept-Encoding": "zstd"})
    known = {"Accept-Encoding": "zstd", "If-None-Match": packed["ETag"]}
    assert (packed["ETag"], Browser().get(chart, headers=known).status_code) == (f"W/{plain['ETag']}", 304)
    since = {"If-Modified-Since": plain["Last-Modified"]}
    assert Browser().get(chart, headers=since).status_code == 304
    part = Browser().get(chart, headers={"Accept-Encoding": "zstd", "Range": "bytes=3-7"})
    assert (part.status_code, part.has_header("Content-Encoding"), part.getvalue()) == (206, False, content[3:8])
    headers = Browser().head(chart, headers={"Accept-Encoding": "zstd"})
    assert (headers.has_header("Content-Encoding"), headers["Content-Length"]) == (False, str(len(content)))
    for page in ("/", "/alerts", "/admin/login/"):
        assert not Browser().get(page, headers={"Accept-Encoding": "zstd"}).has_header("Content-Encoding")


def test_an_export_is_packed_while_it_is_sent(serving):
    serving.commit([minute(at) for at in range(60)])
    asked = {"symbols": "005930", "format": "csv"}

    packed = serving.get("/v2/export/bars", {**serving.headers, "Accept-Encoding": "zstd"}, **asked)

    assert packed["Content-Encoding"] == "zstd"
    content = zstandard.ZstdDecompressor().decompressobj().decompress(b"".join(packed.streaming_content))
    assert content == b"".join(serving.get("/v2/export/bars", **asked).streaming_content)
    assert content.endswith(b"# 60 rows\r\n")


def test_only_pages_of_listed_origins_may_ask_and_never_with_cookies(serving, settings):
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]

    def asked(origin: str, path: str = "/v2/stocks/005930/bars"):
        wanted = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "apca-api-key-id"}
        return Browser().options(path, headers={"Origin": origin, **wanted})

    assert asked(ORIGIN)["Access-Control-Allow-Origin"] == ORIGIN
    assert "apca-api-secret-key" in asked(ORIGIN)["Access-Control-Allow-Headers"]
    assert not asked(ORIGIN).has_header("Access-Control-Allow-Credentials")
    assert not asked("https://elsewhere.example").has_header("Access-Control-Allow-Origin")
    assert not asked(ORIGIN, "/admin/").has_header("Access-Control-Allow-Origin")
    answer = serving.get("/v2/stocks/005930/bars", {**serving.headers, "Origin": ORIGIN})
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-RateLimit-Remaining" in answer["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("path", ["/v2/docs", "/v2/redoc"])
def test_the_documents_load_nothing_of_a_foreign_host_and_hold_no_script(serving, path):
    page = Browser().get(path).content.decode()

    assert not re.search(r"(?:src|href|url)\s*=\s*[\"']?(?:https?:)?//", page)
    assert not re.search(r"<script(?![^>]*src=)[^>]*>\s*\S", page)
    scripts = re.findall(r"<script[^>]*src=\"/static/([^\"]+)\"", page)
    assert scripts
    assert [script for script in scripts if finders.find(script) is None] == []


def test_each_widget_is_a_list_that_its_address_gives(serving):
    serving.commit([minute(0)])

    for name, widget in serving.read("/widgets.json").items():
        given = serving.read(f"/{widget['endpoint']}")
        key = widget["data"].get("dataKey")
        assert isinstance(given[key] if key else given, list), name
