"""Downloads from a server on this machine that cuts off, stumbles and lies."""

import gzip
import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ratchet.adapters import download, sources
from ratchet.config import Source
from ratchet.errors import DataError
from ratchet.settings import Settings
from tests.web import Answer, Server, say

CONTENT = os.urandom(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    with closing(Server()) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def whole(handler: BaseHTTPRequestHandler) -> None:
    """As a server that knows ranges."""
    if asked := handler.headers["Range"]:
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(CONTENT):
            say(handler, 416, b"")
            return
        where = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        say(handler, 206, CONTENT[start:], Content_Range=where)
    else:
        say(handler, 200, CONTENT)


def from_the_start(handler: BaseHTTPRequestHandler) -> None:
    """As a server that knows no ranges."""
    say(handler, 200, CONTENT)


def cut(at: int) -> Answer:
    """Break the connection off after some bytes of what was asked for."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers["Range"]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        say(handler, 206 if start else 200, CONTENT[start : start + at], Content_Length=len(CONTENT) - start)

    return answer


def status(code: int) -> Answer:
    return lambda handler: say(handler, code, b"an explanation that is no part of the file")


def chunked(ends: bool) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        say(handler, 200, b"", Content_Length=None, Transfer_Encoding="chunked")
        for start in range(0, len(CONTENT) if ends else 100_000, 50_000):
            part = CONTENT[start : start + 50_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        handler.wfile.write(b"0\r\n\r\n" if ends else b"")

    return answer


def fetch(server: Server, folder: Path, accepted: tuple[str, ...] = (DIGEST,)) -> tuple[tuple[Path, ...], list[str]]:
    tried: list[str] = []
    return download.fetch(server.uri, folder, accepted, tried), tried


def assert_whole(server: Server, folder: Path) -> None:
    assert fetch(server, folder) == ((folder / "table.csv",), [])
    assert (folder / "table.csv").read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("answer", [whole, from_the_start, chunked(ends=True)], ids=["ranges", "plain", "chunked"])
def test_a_file_is_fetched_into_a_folder_that_is_made_for_it(answer, server, folder):
    server.answers = [answer]
    assert_whole(server, folder)


def test_a_connection_that_is_cut_is_resumed_where_it_broke_off(server, folder):
    server.answers = [cut(100_000), cut(50_000), whole]
    assert_whole(server, folder)
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_a_server_that_cannot_resume_sends_the_file_from_the_start(server, folder):
    server.answers = [cut(100_000), from_the_start]
    assert_whole(server, folder)


def test_a_stream_without_a_length_that_breaks_off_is_not_taken_for_whole(server, folder):
    server.answers = [chunked(ends=False), whole]
    assert_whole(server, folder)


def test_what_an_earlier_run_left_is_not_fetched_again(server, folder):
    folder.mkdir()
    (folder / "table.csv.part").write_bytes(CONTENT[:120_000])
    server.answers = [whole]
    assert_whole(server, folder)
    assert server.ranges == ["bytes=120000-"]


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"more"], ids=["all of it", "more than all"])
def test_a_beginning_that_cannot_be_continued_is_thrown_away(left, server, folder):
    folder.mkdir()
    (folder / "table.csv.part").write_bytes(left)
    server.answers = [whole]
    assert_whole(server, folder)


@pytest.mark.parametrize("code", [500, 502, 503, 429])
def test_a_server_that_is_busy_is_asked_again(code, server, folder):
    server.answers = [status(code), status(code), whole]
    assert_whole(server, folder)


@pytest.mark.parametrize("code", [400, 403, 404, 410])
def test_a_file_that_is_not_there_is_asked_for_once_and_told(code, server, folder):
    server.answers = [status(code)]
    assert fetch(server, folder) == ((), [f"{server.uri} (HTTP {code})"])
    assert len(server.ranges) == 1
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_server_that_stays_busy_is_given_up_and_told(server, folder):
    server.answers = [status(503)]
    assert fetch(server, folder) == ((), [f"{server.uri} (HTTP 503, 4 times)"])
    assert len(server.ranges) == 4


def test_a_server_that_is_not_there_is_given_up_and_told(server, folder):
    server.http.shutdown()
    server.http.server_close()
    found, tried = fetch(server, folder)
    assert found == ()
    assert tried == [f"{server.uri} (ConnectionError, 4 times)"]


def test_a_file_that_goes_away_while_it_is_fetched_has_no_name_yet(server, folder):
    server.answers = [cut(100_000), status(404)]
    assert fetch(server, folder) == ((), [f"{server.uri} (HTTP 404)"])
    assert not (folder / "table.csv").exists()


def test_a_source_that_is_nowhere_tells_the_answer_of_the_server(server, folder):
    server.answers = [status(404)]
    settings = Settings("", "", (folder,), folder / ".ratchet")
    with pytest.raises(DataError, match=r"data\.sources\.a: not found; tried .*table\.csv \(HTTP 404\)"):
        sources.locate("a", Source(uris=(server.uri,)), settings)


def test_another_file_than_the_accepted_one_is_not_kept(server, folder):
    server.answers = [whole]
    with pytest.raises(DataError, match=f"table.csv: sha256 of what came is {DIGEST}.*not kept"):
        fetch(server, folder, ("0" * 64,))
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_download_whose_beginning_was_of_another_file_is_not_kept_and_comes_right_the_next_time(server, folder):
    folder.mkdir()
    (folder / "table.csv.part").write_bytes(os.urandom(1_000))
    server.answers = [whole]
    with pytest.raises(DataError, match="not kept"):
        fetch(server, folder)
    assert_whole(server, folder)


def test_one_of_several_accepted_digests_is_enough(server, folder):
    server.answers = [whole]
    assert fetch(server, folder, ("0" * 64, DIGEST))[0] == (folder / "table.csv",)


def test_a_file_that_is_there_is_not_fetched(server, folder):
    folder.mkdir()
    (folder / "table.csv").write_bytes(b"mine")
    server.answers = [whole]
    assert fetch(server, folder)[0] == (folder / "table.csv",)
    assert server.ranges == []


def test_a_server_that_promises_more_than_it_sends_leaves_nothing_under_the_final_name(server, folder):
    server.answers = [lambda handler: say(handler, 200, CONTENT, Content_Length=len(CONTENT) + 1)]
    found, tried = fetch(server, folder, ())
    assert found == ()
    assert "4 times" in tried[0]
    assert not (folder / "table.csv").exists()


def test_a_server_that_promises_less_than_it_sends_is_found_out_by_the_digest(server, folder):
    server.answers = [lambda handler: say(handler, 200, CONTENT, Content_Length=1_000)]
    with pytest.raises(DataError, match="not kept"):
        fetch(server, folder)
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize("length", ["many", "-1", "", "1e3"])
def test_a_length_that_is_no_number_does_not_stop_the_download(length, server, folder):
    server.answers = [lambda handler: say(handler, 200, CONTENT, Content_Length=length)]
    assert_whole(server, folder)


def test_a_server_that_would_pack_the_file_is_asked_for_it_as_it_is(server, folder):
    def packs_where_it_may(handler: BaseHTTPRequestHandler) -> None:
        if "gzip" in (handler.headers["Accept-Encoding"] or ""):
            say(handler, 200, gzip.compress(CONTENT), Content_Length=None, Content_Encoding="gzip")
        else:
            say(handler, 200, CONTENT)

    server.answers = [packs_where_it_may]
    assert_whole(server, folder)


def test_a_packed_file_is_kept_as_it_is_published(server, folder):
    server.uri += ".gz"
    packed = gzip.compress(CONTENT)
    server.answers = [lambda handler: say(handler, 200, packed, Content_Encoding="gzip")]
    fetch(server, folder, (hashlib.sha256(packed).hexdigest(),))
    assert (folder / "table.csv.gz").read_bytes() == packed


def test_nothing_half_written_ever_has_the_final_name(server, folder):
    """Looked at from the server, between the two halves of the file."""
    seen = []

    def in_two_halves(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:150_000])
        handler.wfile.flush()
        seen.append((folder / "table.csv").exists())
        handler.wfile.write(CONTENT[150_000:])

    server.answers = [in_two_halves]
    assert_whole(server, folder)
    assert seen == [False]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/%ED%95%9C%EA%B8%80.csv", "한글.csv"),
        ("/a.csv?version=3", "a.csv"),
        ("/", "download"),
        ("/x/..%2F..%2Fetc%2Fa.csv", "a.csv"),
    ],
)
def test_the_file_is_named_as_in_the_address_and_stays_in_its_folder(path, name, server, folder):
    server.answers = [whole]
    server.uri = server.uri.replace("/files/table.csv", path)
    assert fetch(server, folder)[0] == (folder / name,)
    assert [left.name for left in folder.iterdir()] == [name]
