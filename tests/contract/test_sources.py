"""One contract for every kind of source: the same small table, whatever it lies in, comes out the same."""

import bz2
import csv
import functools
import gzip
import io
import lzma
import math
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gcp_storage_emulator.server import create_server
from google.cloud import storage
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn import datasets

from ratchet.adapters import download, files, sources
from ratchet.adapters.servers import free_port
from ratchet.adapters.synthetic import credit
from ratchet.adapters.warehouse import Question
from ratchet.config import Data, HashSplit, Read, Source, is_database
from ratchet.errors import DataError
from ratchet.settings import Settings
from tests.adapters import bigquery_stand_in
from tests.adapters.bigquery_stand_in import StandIn

NAN = float("nan")
COLUMNS = ["note", "amount", "count", "answer", "y"]
ROWS = [
    ["plain", 1.5, 3, "Yes", 0],
    ["한글 메모", None, 4, "No", 1],
    ['she said "no"', -2.25, 5, "Yes", 0],
    ["one, two", 0.1, 6, None, 1],
    ["two\nlines", 1e-7, 7, "No", 0],
    [None, 1e22, 8, "Yes", 1],
    ["# not a comment", 7.0, 9, "No", 0],
    ["'tis", 8.0, 10, "Yes", 1],
    ["x;y\tz|w", 9.0, None, "No", 0],
]
WESTERN = [[note and note.replace("한글 메모", "café à la carte"), *rest] for note, *rest in ROWS]


@dataclass(frozen=True)
class Place:
    """Where a test keeps its files, and the address at which a web server offers them."""

    folder: Path
    address: str

    @property
    def settings(self) -> Settings:
        home = self.folder / ".ratchet"
        return Settings("sqlite://", "sqlite://", (self.folder / "data", self.folder / "more"), home)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def web() -> Iterator[tuple[Path, str]]:
    root = Path(tempfile.mkdtemp(prefix="web-"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield root, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    shutil.rmtree(root)


@pytest.fixture
def place(web: tuple[Path, str]) -> Iterator[Place]:
    root, address = web
    folder = Path(tempfile.mkdtemp(dir=root))
    (folder / "data").mkdir()
    yield Place(folder, f"{address}/{folder.name}")
    shutil.rmtree(folder)


def delimited(rows: list[list], sep: str = ",", columns: list[str] = COLUMNS) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=sep, lineterminator="\n")
    writer.writerows([columns, *rows])
    return out.getvalue()


def zipped(raw: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", raw)
    return out.getvalue()


def zstd(raw: bytes) -> bytes:
    return pa.compress(raw, codec="zstd", asbytes=True)


def frame(rows: list[list]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


Writer = Callable[[Place, list[list]], Source]
QUERY = "SELECT * FROM applicants"  # what a database is asked


@functools.cache
def bucket() -> Any:
    """A bucket of the emulator, in memory, for as long as the tests run; reached by Google's own client."""
    port = free_port()
    create_server("127.0.0.1", port, True, "data").start()
    os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{port}"
    return storage.Client(project="test").bucket("data")


def text_file(ending: str, pack: Callable[[bytes], bytes] = bytes, sep: str = ",", encoding: str = "utf-8") -> Writer:
    def write(place: Place, rows: list[list]) -> Source:
        path = place.folder / "data" / f"table{ending}"
        path.write_bytes(pack(delimited(rows, sep).encode(encoding)))
        return Source(uris=(path.name,), read=Read(encoding=encoding))

    return write


def parquet_file(place: Place, rows: list[list]) -> Source:
    frame(rows).to_parquet(place.folder / "data" / "table.parquet")
    return Source(uris=("table.parquet",))


def parquet_folder(place: Place, rows: list[list]) -> Source:
    (place.folder / "data" / "table").mkdir(exist_ok=True)
    for number, part in enumerate((rows[:4], rows[4:])):
        frame(part).to_parquet(place.folder / "data" / "table" / f"part-{number}.parquet")
    return Source(uris=("table",))


def glob(place: Place, rows: list[list]) -> Source:
    for number, part in enumerate((rows[:4], rows[4:])):
        (place.folder / "data" / f"table-{number}.csv").write_text(delimited(part), encoding="utf-8")
    return Source(uris=("table-*.csv",))


def download_of_a_file(place: Place, rows: list[list]) -> Source:
    (place.folder / "table.csv").write_text(delimited(rows), encoding="utf-8")
    (place.folder / "data" / "table.csv").unlink(missing_ok=True)
    return Source(uris=(f"{place.address}/table.csv",))


def object_in_a_bucket(place: Place, rows: list[list]) -> Source:
    """A folder of parts in Google Cloud Storage, by its emulator."""
    for number, part in enumerate((rows[:4], rows[4:])):
        raw = io.BytesIO()
        frame(part).to_parquet(raw)
        bucket().blob(f"{place.folder.name}/table-{number}.parquet").upload_from_string(raw.getvalue())
    return Source(uris=(f"gs://{bucket().name}/{place.folder.name}/table-*.parquet",))


def database(place: Place, rows: list[list]) -> Source:
    file = place.folder / "table.db"
    with closing(sqlite3.connect(file)) as connection:
        frame(rows).to_sql("applicants", connection, index=False, if_exists="replace")
    return Source(uris=(f"sqlite:///{file}",))


STAND_IN = bigquery_stand_in.running()  # kept, since it ends with its last reference


@functools.cache
def warehouse() -> StandIn:
    """BigQuery's stand-in, for as long as the tests run; reached by Google's own clients."""
    stand_in, environment = STAND_IN.__enter__()
    os.environ |= environment
    return stand_in


def table_in_bigquery(place: Place, rows: list[list]) -> Source:
    table = pa.Table.from_pandas(frame(rows))
    warehouse().tables.register("applicants", table)
    return Source(uris=("bigquery://table",))


KINDS: dict[str, tuple[Writer, list[list]]] = {
    "csv": (text_file(".csv"), ROWS),
    "tsv": (text_file(".tsv", sep="\t"), ROWS),
    "semicolons": (text_file(".txt", sep=";"), ROWS),
    "csv.gz": (text_file(".csv.gz", gzip.compress), ROWS),
    "csv.zip": (text_file(".csv.zip", zipped), ROWS),
    "csv.bz2": (text_file(".csv.bz2", bz2.compress), ROWS),
    "csv.xz": (text_file(".csv.xz", lzma.compress), ROWS),
    "csv.zst": (text_file(".csv.zst", zstd), ROWS),
    "utf-8 with a mark": (text_file(".csv", encoding="utf-8-sig"), ROWS),
    "cp949": (text_file(".csv", encoding="cp949"), ROWS),
    "cp949 packed": (text_file(".csv.gz", gzip.compress, encoding="cp949"), ROWS),
    "utf-16": (text_file(".csv", encoding="utf-16"), ROWS),
    "latin-1": (text_file(".csv", encoding="latin-1"), WESTERN),
    "parquet": (parquet_file, ROWS),
    "parquet folder": (parquet_folder, ROWS),
    "glob": (glob, ROWS),
    "download": (download_of_a_file, ROWS),
    "bucket": (object_in_a_bucket, ROWS),
    "database": (database, ROWS),
    "bigquery": (table_in_bigquery, ROWS),
}
DATABASES = ("database", "bigquery")
IN_FILES = [kind for kind in KINDS if kind not in ("bucket", *DATABASES)]
PACKED = [kind for kind in KINDS if kind.startswith("csv.") or kind.endswith("packed")]
every_kind = pytest.mark.parametrize("kind", KINDS)


def read(place: Place, source: Source, target: str = "y") -> pd.DataFrame:
    """What preprocess sees of the source."""
    table = sources.locate("applicants", source, place.settings, Question(QUERY))
    data = Data(sources={"applicants": source}, target=target, query=QUERY if is_database(source.uris[0]) else None)
    folder = place.folder / "workspace"
    with files.workspace(folder, [table]) as db:
        kinds = files.gather(db, data, HashSplit(), folder / "rows")
        files.keep_targets(db, target, folder / "rows")
    return pd.read_parquet(folder / "rows")[list(kinds)]


def plain(table: pd.DataFrame) -> list[list]:
    return [[None if pd.isna(cell) else cell for cell in row] for row in table.astype(object).to_numpy().tolist()]


def same(found: pd.DataFrame, rows: list[list], kind: str) -> bool:
    """Whether these are the rows; a database gives them in no order, so preprocess puts them in one of its own."""
    return plain(found) == rows or (kind in DATABASES and sorted(plain(found), key=str) == sorted(rows, key=str))


def digest(place: Place, source: Source) -> str:
    return sources.locate("applicants", source, place.settings, Question(QUERY)).digest


@every_kind
def test_the_same_rows_come_out_of_every_kind_of_source(kind, place):
    write, rows = KINDS[kind]
    table = read(place, write(place, rows))
    assert list(table) == COLUMNS
    assert same(table, rows, kind)


@every_kind
def test_yes_and_no_stay_the_words_that_callers_will_send(kind, place):
    write, rows = KINDS[kind]
    assert set(read(place, write(place, rows))["answer"].dropna()) == {"Yes", "No"}


@every_kind
def test_the_digest_is_the_same_each_time_and_another_one_when_a_byte_changes(kind, place):
    write, rows = KINDS[kind]
    source = write(place, rows)
    first = digest(place, source)
    assert digest(place, source) == first
    write(place, [["plaim", *rows[0][1:]], *rows[1:]])
    assert digest(place, source) != first


@every_kind
def test_a_changed_file_is_read_anew(kind, place):
    write, rows = KINDS[kind]
    read(place, write(place, rows))
    changed = [["plaim", *rows[0][1:]], *rows[1:]]
    assert same(read(place, write(place, changed)), changed, kind)


@every_kind
def test_a_file_with_another_digest_than_the_accepted_one_is_refused_by_name(kind, place):
    write, rows = KINDS[kind]
    source = write(place, rows)
    with pytest.raises(DataError, match="table.*sha256.*" + "0" * 64):
        sources.locate("applicants", source.model_copy(update={"sha256": ("0" * 64,)}), place.settings, Question(QUERY))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("parquet folder", "glob", "bucket")])
def test_a_file_with_an_accepted_digest_is_read(kind, place):
    write, rows = KINDS[kind]
    source = write(place, rows)
    accepted = source.model_copy(update={"sha256": ("0" * 64, digest(place, source))})
    assert same(read(place, accepted), rows, kind)


@pytest.mark.parametrize("kind", IN_FILES)
def test_a_missing_source_says_all_that_was_tried_and_how_to_mend_it(kind, place):
    write, rows = KINDS[kind]
    uris = ("first.csv", write(place, rows).uris[0])
    for left in [*place.folder.glob("data/table*"), *place.folder.glob("table*")]:
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    with pytest.raises(DataError) as told:
        sources.locate("applicants", Source(uris=uris, sha256=("0" * 64,)), place.settings)
    said = str(told.value)
    assert "data.sources.applicants: not found" in said
    assert "RATCHET_DATA" in said
    assert str(place.folder / "data" / "first.csv") in said
    assert str(place.folder / "more" / "first.csv") in said
    assert uris[1] in said


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_is_cut_off_is_refused_by_name(kind, share, place):
    write, _ = KINDS[kind]
    long = [[os.urandom(9).hex(), None, number, "Yes", 0] for number in range(20_000)]
    source = write(place, long)
    path = place.folder / "data" / source.uris[0]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=re.escape(path.name)):
        read(place, source)


def test_every_cut_of_a_zstandard_file_is_seen(place):
    """DuckDB and the zstandard package both take the first part of such a file for all of it."""
    packed = zstd(delimited([[os.urandom(9).hex(), None, number, "Yes", 0] for number in range(9_000)]).encode())
    for cut in range(1, len(packed), len(packed) // 25):
        (place.folder / "data" / "table.csv.zst").write_bytes(packed[:cut])
        with pytest.raises(DataError, match=r"table\.csv\.zst"):
            sources.locate("applicants", Source(uris=("table.csv.zst",)), place.settings)


def test_the_frames_of_a_zstandard_file_are_all_read(place):
    halves = [delimited(ROWS[:4]), delimited(ROWS[4:]).split("\n", 1)[1]]
    (place.folder / "data" / "table.csv.zst").write_bytes(b"".join(zstd(half.encode()) for half in halves))
    assert plain(read(place, Source(uris=("table.csv.zst",)))) == ROWS


def loaded(name: str) -> pd.DataFrame:
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    return bunch.frame.assign(target=[str(bunch.target_names[code]) for code in bunch.frame["target"]])


FRAMES = {
    "sklearn://iris": (functools.partial(loaded, "iris"), "target", "sklearn://wine"),
    "sklearn://breast_cancer": (functools.partial(loaded, "breast_cancer"), "target", "sklearn://iris"),
    "sklearn://diabetes": (lambda: datasets.load_diabetes(as_frame=True).frame, "target", "sklearn://iris"),
    "synthetic://credit?rows=200&seed=3": (
        lambda: credit(200, 3, "first"), "defaulted", "synthetic://credit?rows=200&seed=4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("uri", FRAMES)
def test_a_source_that_needs_no_file_gives_its_rows(uri, place):
    expected, target, _ = FRAMES[uri]
    table = read(place, Source(uris=(uri,)), target)
    pd.testing.assert_frame_equal(table, expected(), check_dtype=False, check_exact=True)


@pytest.mark.parametrize("uri", FRAMES)
def test_a_source_that_needs_no_file_has_a_digest_of_its_own(uri, place):
    assert digest(place, Source(uris=(uri,))) == digest(place, Source(uris=(uri,)))
    assert digest(place, Source(uris=(uri,))) != digest(place, Source(uris=(FRAMES[uri][2],)))


def test_the_digest_of_a_frame_is_the_same_in_another_process(place):
    source = "Source(uris=('synthetic://credit?rows=50',))"
    code = (
        "from pathlib import Path; from ratchet.adapters import sources; from ratchet.config import Source;"
        "from ratchet.settings import Settings;"
        f"print(sources.locate('a', {source}, Settings('', '', (Path(),), Path())).digest)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == digest(place, Source(uris=("synthetic://credit?rows=50",)))


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("sklearn://irys", "did you mean 'iris'"),
        ("synthetic://debit", "synthetic://credit"),
        ("synthetic://credit?row=5", "did you mean 'rows'"),
        ("synthetic://credit?rows=many", "whole numbers"),
        ("synthetic://credit?rows=-1", "rows"),
        ("ftp://example.org/a.csv", "no source kind 'ftp'"),
        ("https://example.org/a.csv", "data.sources.applicants.sha256"),
        ("https://[example/a.csv", r"'https://\[example/a.csv' is no address"),
        ("http://example.org/a.csv", "data.sources.applicants.sha256"),
    ],
)
def test_a_source_that_cannot_be_says_why(uri, told, place):
    with pytest.raises(DataError, match=told):
        sources.locate("applicants", Source(uris=(uri,)), place.settings)


def test_the_first_source_that_is_there_is_taken(place):
    csv_file, parquet = KINDS["csv"][0](place, ROWS[:5]), KINDS["parquet"][0](place, ROWS)
    both = Source(uris=("absent.csv", *csv_file.uris, *parquet.uris))
    assert plain(read(place, both)) == ROWS[:5]


def test_the_folders_of_ratchet_data_are_searched_in_order(place):
    source = KINDS["csv"][0](place, ROWS)
    (place.folder / "more").mkdir()
    shutil.move(place.folder / "data" / "table.csv", place.folder / "more" / "table.csv")
    assert plain(read(place, source)) == ROWS
    KINDS["csv"][0](place, ROWS[:5])
    assert plain(read(place, source)) == ROWS[:5]


def test_a_download_goes_to_the_first_folder_and_is_not_fetched_again(place):
    source = download_of_a_file(place, ROWS)
    read(place, source)
    assert (place.folder / "data" / "table.csv").is_file()
    (place.folder / "table.csv").unlink()
    assert plain(read(place, source)) == ROWS


def test_a_download_that_fails_gives_way_to_the_next_source(place, monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    csv_file = KINDS["csv"][0](place, ROWS)
    assert plain(read(place, Source(uris=(f"{place.address}/absent.csv", *csv_file.uris)))) == ROWS


@pytest.mark.parametrize(
    "name", ["a [1].csv", "what?.csv", "it's.csv", "한글.csv", "A.CSV", "a b.csv", "x.tar.csv", "A.PARQUET"]
)
def test_a_file_is_found_whatever_it_is_called(name, place):
    path = place.folder / "data" / name
    if name.endswith("PARQUET"):
        frame(ROWS).to_parquet(path)
    else:
        path.write_text(delimited(ROWS), encoding="utf-8")
    for near in ("a 1.csv", "whats.csv"):
        (place.folder / "data" / near).write_text("another,y\n1,2\n", encoding="utf-8")
    assert plain(read(place, Source(uris=(name,)))) == ROWS


def test_a_number_is_not_cut_to_the_type_of_the_first_part(place):
    (place.folder / "data" / "parts").mkdir()
    pd.DataFrame({"a": [1, 2], "y": [0, 1]}).to_parquet(place.folder / "data" / "parts" / "0.parquet")
    pd.DataFrame({"a": [1.5, None], "y": [0, 1]}).to_parquet(place.folder / "data" / "parts" / "1.parquet")
    assert plain(read(place, Source(uris=("parts",))))[2] == [1.5, 0]


def test_parts_are_joined_by_the_names_of_their_columns(place):
    (place.folder / "data" / "0.csv").write_text("a,b,y\nx,v,0\n")
    (place.folder / "data" / "1.csv").write_text("b,a,y\nw,z,1\n")
    assert plain(read(place, Source(uris=("*.csv",)))) == [["x", "v", 0], ["z", "w", 1]]


def test_parts_whose_hangul_is_composed_in_one_and_not_in_the_other_are_told_so(place):
    for number, form in enumerate(("NFC", "NFD")):
        header = unicodedata.normalize(form, "이름,y")
        (place.folder / "data" / f"{number}.csv").write_text(f"{header}\nv,0\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"is not in \d.csv \(it is there in another form of Unicode\)"):
        read(place, Source(uris=("*.csv",)))


def test_the_folders_of_a_partitioned_table_become_a_column(place):
    for year in (2023, 2024):
        part = place.folder / "data" / "sales" / f"year={year}"
        part.mkdir(parents=True)
        pd.DataFrame({"a": [1, 2], "y": [0, 1]}).to_parquet(part / "0.parquet")
    assert read(place, Source(uris=("sales",)))["year"].tolist() == [2023, 2023, 2024, 2024]


def test_a_truth_value_of_a_parquet_file_becomes_a_word(place):
    table = pd.DataFrame({"a": pd.array([True, False, None], dtype="boolean"), "y": [True, False, True]})
    table.to_parquet(place.folder / "data" / "table.parquet")
    assert plain(read(place, Source(uris=("table.parquet",)))) == [["true", "true"], ["false", "false"], [None, "true"]]


@pytest.mark.parametrize("values", [[1.0, NAN, 3.0], [0.5, 1.5, NAN, None], [NAN, 7.0, 8.0], [NAN, NAN, 1.0]])
@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()], ids=str)
def test_the_nan_of_a_parquet_file_is_a_missing_cell(values, kind, place):
    table = pa.table({"a": pa.array(values, kind), "y": [1.0] * len(values)})
    pq.write_table(table, place.folder / "data" / "table.parquet")
    read(place, Source(uris=("table.parquet",)))
    written = pq.read_table(place.folder / "workspace" / "rows")["a"].to_pylist()
    assert written == [None if value is None or math.isnan(value) else value for value in values]


def test_a_row_whose_target_is_nan_has_no_target(place):
    pq.write_table(pa.table({"a": [1.0, 2.0, 3.0], "y": [0.5, 1.5, NAN]}), place.folder / "data" / "table.parquet")
    assert plain(read(place, Source(uris=("table.parquet",)))) == [[1.0, 0.5], [2.0, 1.5]]


def test_a_column_of_lists_does_not_stand_in_the_way(place):
    pq.write_table(pa.table({"a": [[1, 2], None], "y": [0, 1]}), place.folder / "data" / "table.parquet")
    assert plain(read(place, Source(uris=("table.parquet",)))) == [["[1, 2]", 0], [None, 1]]


def test_a_folder_without_tables_says_so(place):
    (place.folder / "data" / "parts").mkdir()
    (place.folder / "data" / "parts" / "0.html").write_text("a,y\n1,2\n")
    with pytest.raises(DataError, match=r"parts \(a folder without .csv.* files\)"):
        sources.locate("applicants", Source(uris=("parts",)), place.settings)


@pytest.mark.parametrize(
    ("name", "raw", "encoding", "told"),
    [
        ("a.html", b"{}", "utf-8", "no reader for .html.*parquet"),
        ("table", b"a,y\n1,2\n", "utf-8", "a name without an ending"),
        ("a.csv", b"a,y\n1,2\n", "utf-99", "unknown encoding 'utf-99'.*cp949"),
        ("a.csv", b"a,y\n1,2\n", "hex", "unknown encoding 'hex'"),
        ("a.csv", "a,y\n\xe9,1\n".encode("latin-1"), "utf-8", "read.encoding"),
        ("a.csv", "a,y\n\xe9,1\n".encode("latin-1"), "cp949", "not cp949.*read.encoding"),
        ("a.csv", b"a,y\nx,1\n", "utf-16", "not utf-16.*read.encoding"),
        ("a.csv.zip", zipped(b"x")[:9], "utf-8", "a.csv.zip: damaged"),
        ("a.csv.gz", b"plain", "cp949", "a.csv.gz: damaged"),
        ("a.csv.gz", gzip.compress(b"a" * 999, mtime=0)[:-9] + b"xxxxxxxxx", "cp949", "a.csv.gz: damaged"),
        ("a.csv.zst", b"plain", "utf-8", "a.csv.zst: damaged"),
        ("a.csv", b'a,y\n"open,1\nx,2\n', "utf-8", "a.csv.*read.quote"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name_with_the_mend(name, raw, encoding, told, place):
    (place.folder / "data" / name).write_bytes(raw)
    with pytest.raises(DataError, match=told) as refused:
        read(place, Source(uris=(name,), read=Read(encoding=encoding)))
    assert name in str(refused.value)


def test_an_archive_of_two_files_is_refused(place):
    with zipfile.ZipFile(place.folder / "data" / "a.csv.zip", "w") as archive:
        archive.writestr("one.csv", "a,y\n1,2\n")
        archive.writestr("two.csv", "a,y\n1,2\n")
    with pytest.raises(DataError, match=r"a\.csv\.zip: holds 2 files"):
        sources.locate("applicants", Source(uris=("a.csv.zip",)), place.settings)


def test_what_a_mac_adds_to_an_archive_is_no_second_file(place):
    with zipfile.ZipFile(place.folder / "data" / "a.csv.zip", "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr("folder/a.csv", delimited(ROWS))
        archive.writestr("__MACOSX/folder/._a.csv", "junk")
    assert plain(read(place, Source(uris=("a.csv.zip",)))) == ROWS


def test_nothing_half_unpacked_is_left_behind(place):
    source = KINDS["cp949"][0](place, ROWS)
    path = place.folder / "data" / source.uris[0]
    path.write_bytes(path.read_bytes() + b"\xff\xff")
    with pytest.raises(DataError, match="not cp949"):
        sources.locate("applicants", source, place.settings)
    assert list((place.folder / ".ratchet" / "cache").iterdir()) == []


def test_the_reader_does_as_the_task_says(place):
    (place.folder / "data" / "a.txt").write_text("code~y\n'007'~0\n'-'~1\n", encoding="utf-8")
    read_as = Read(sep="~", quote="'", na=("-",), types={"code": "text"})
    assert plain(read(place, Source(uris=("a.txt",), read=read_as))) == [["007", 0], [None, 1]]


def test_a_file_without_quoting_keeps_its_quotation_marks(place):
    (place.folder / "data" / "a.tsv").write_text('text\ty\n"Hello\t0\nshe said "no"\t1\n"whole"\t0\n')
    table = read(place, Source(uris=("a.tsv",), read=Read(sep="\t", quote="")))
    assert table["text"].tolist() == ['"Hello', 'she said "no"', '"whole"']


@pytest.mark.parametrize("row", ["4,5", "4,5,6,7"])
@pytest.mark.parametrize("before", [0, 1, 5_000])
def test_a_row_with_too_few_or_too_many_cells_is_refused_and_not_lost(row, before, place):
    good = "".join(f"{number},x,{number % 2}\n" for number in range(before))
    (place.folder / "data" / "a.csv").write_text(f"a,b,y\n{good}{row}\n{good}1,x,1\n")
    with pytest.raises(DataError):
        read(place, Source(uris=("a.csv",)))


@pytest.mark.parametrize("mark", ["#", "//", "--", "%", ";"])
def test_a_line_that_looks_like_a_remark_is_a_row_or_an_error_and_never_lost(mark, place):
    (place.folder / "data" / "a.csv").write_text(f"text,y\n{mark}one,1\nhello,2\n{mark}two,3\n{mark}three,4\n")
    assert read(place, Source(uris=("a.csv",)))["text"].tolist() == [
        f"{mark}one",
        "hello",
        f"{mark}two",
        f"{mark}three",
    ]
    (place.folder / "data" / "a.csv").write_text(f"text,y\n{mark} a remark\nhello,2\n{mark}two,3\n{mark}three,4\n")
    with pytest.raises(DataError):
        read(place, Source(uris=("a.csv",)))


def test_lines_above_the_header_are_told_and_not_skipped(place):
    (place.folder / "data" / "a.csv").write_text("Report of May\n\na,b,y\n1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match=r"no column 'y'; the columns are Report of May"):
        read(place, Source(uris=("a.csv",)))


cells = ["it", "'tis", "'q'", "'", '"', "#x", "# x", "//", "a,b", 'say "hi"', '"whole"', "two\nlines", "가나다", "x;y"]
cells += ["t\tt", "a|b", "", "-", "\\", "  pad ", '5" x', "don't", "\\N", "a: b", "{'a': 1}", "=1+1", "😀", "NULL"]
words = st.sampled_from(cells)


@given(
    table=st.lists(st.tuples(words, words), min_size=1, max_size=30),
    sep=st.sampled_from([",", "\t", ";", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
@hypothesis_settings(max_examples=80, deadline=None)
def test_whatever_a_spreadsheet_writes_comes_back_as_it_was(table, sep, quoting, newline):
    folder = Path(tempfile.mkdtemp())
    place = Place(folder, "")
    (folder / "data").mkdir()
    with (folder / "data" / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=sep, quoting=quoting, lineterminator=newline)
        writer.writerows([["first", "second", "y"], *([*row, number] for number, row in enumerate(table))])
    came = plain(read(place, Source(uris=("a.csv",), read=Read(types={"first": "text", "second": "text"}))))
    shutil.rmtree(folder)
    assert came == [[one or None, two or None, number] for number, (one, two) in enumerate(table)]
