"""What can be wrong with a user's files, data and words: each case is one command and what its user sees."""

import gzip
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl

from tests.faults.case import ROWS, Case, columns, csv, data, query, table
from tests.faults.counts import times
from tests.faults.machine import MACHINE


def _line(number: int, line: bytes) -> bytes:
    """A sound file in which one line is another."""
    lines = csv().splitlines(keepends=True)
    return b"".join([*lines[:number], line, *lines[number + 1 :]])


def _korean(encoding: str) -> bytes:
    return csv(columns(city=[["서울", "부산", "대구"][i % 3] for i in range(ROWS)]), encoding=encoding)


def _unlike_parts(place: Path) -> None:
    (place / "part1.csv").write_bytes(csv())
    (place / "part2.csv").write_bytes(csv().replace(b"city", b"town", 1))


def _partitioned(place: Path) -> None:
    (place / "parts" / "city=Seoul").mkdir(parents=True)
    (place / "parts" / "city=Seoul" / "rows.csv").write_bytes(csv())


def _two_sheets(place: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.title = "Notes"
    workbook.create_sheet("Rows")
    workbook.save(place / "data.xlsx")


def _every(value: Any, other: Callable[[int], Any], step: int) -> list[Any]:
    return [value if i % step == 0 else other(i) for i in range(ROWS)]


FILES = [
    Case("a file that is not there", r"not found; tried data\.csv.*RATCHET_DATA"),
    Case("an empty file", r"data\.csv.*empty", b""),
    Case("a file with a header and no rows", r"(no rows|no value at all)", b"id,age,income,city,y\n"),
    Case("a wrong separator", r"no column 'y'", csv(), data(
        sources={"rows": {"uris": ["data.csv"], "read": {"sep": ";"}}})),
    Case("a row with a cell too many", r"data\.csv.*line 61", _line(60, b"r60,1,2,Seoul,1,9\n")),
    Case("a row with a cell too few", r"data\.csv.*line 61", _line(60, b"r60,1,2\n")),
    Case("an unclosed quote", r"data\.csv.*line 61: a quote is not closed", _line(60, b'r59,1,2,"Seoul,1\n')),
    Case("NUL bytes", r"city: 1 cells hold a NUL byte", _line(60, b"r59,1,2,Se\x00oul,1\n"), code=0),
    Case("a byte order mark", r"rows", b"\xef\xbb\xbf" + csv(), code=0),
    Case("CP949 read as UTF-8", r"data\.csv.*read\.encoding", _korean("cp949")),
    Case("EUC-KR read as UTF-8", r"data\.csv.*read\.encoding", _korean("euc-kr")),
    Case("UTF-16 read as UTF-8", r"data\.csv.*read\.encoding: utf-16", _korean("utf-16")),
    Case("Latin-1 read as UTF-8", r"data\.csv.*read\.encoding",
         csv(columns(city=["Zürich"] * ROWS), encoding="latin-1")),
    Case("CP949 read as CP949", r"rows", _korean("cp949"), data(
        sources={"rows": {"uris": ["data.csv"], "read": {"encoding": "cp949"}}}), code=0),
    Case("a line of a gigabyte", r"data\.csv.*(line|size)",
         lambda: csv() + b"x" * times(5_000_000, 1_000_000_000) + b"\n"),
    Case("a gz that is cut off", r"data\.csv\.gz.*(damaged|cut off)", lambda: gzip.compress(csv() * 50)[:-300],
         data(sources={"rows": {"uris": ["data.csv.gz"]}})),
    Case("a checksum that differs", r"sha256 is .* accepts", csv(), data(
        sources={"rows": {"uris": ["data.csv"], "sha256": ["0" * 64]}})),
    Case("parts whose columns differ", r"column 'town' of part2\.csv is not in part1\.csv", csv(), data(
        sources={"rows": {"uris": ["part*.csv"]}}), prepare=_unlike_parts),
    Case("a folder without tables", r"a folder without \.csv", csv(), data(
        sources={"rows": {"uris": ["empty"]}}), prepare=lambda place: (place / "empty").mkdir()),
    Case("a folder that is also a column", r"'city' is a folder city=… of parts and a column of its files", csv(), data(
        sources={"rows": {"uris": ["parts"]}}), prepare=_partitioned),
    Case("lines that end in two ways", r"lines end in different ways", csv().replace(b"\n", b"\r\n", 1), code=0),
    Case("a file without a header", r"read: \{header: false, names: \[", csv().split(b"\n", 1)[1]),
    Case("names for too few columns", r"line 1 has 5 cells, read\.names has 2", csv().split(b"\n", 1)[1], data(
        sources={"rows": {"uris": ["data.csv"], "read": {"header": False, "names": ["id", "y"]}}})),
    Case("an ending that nothing reads", r"no reader for \.xls;.*save it as", csv(), data(
        sources={"rows": {"uris": ["data.xls"]}}), prepare=lambda place: (place / "data.xls").touch()),
    Case("a workbook that is none", r"data\.xlsx: damaged", csv(), data(
        sources={"rows": {"uris": ["data.xlsx"]}}), prepare=lambda place: (place / "data.xlsx").write_bytes(b"PK") and None),
    Case("a workbook of several sheets", r"has several sheets \('Notes', 'Rows'\); name one", csv(), data(
        sources={"rows": {"uris": ["data.xlsx"]}}), prepare=_two_sheets),
    Case("a line that is no JSON", r"data\.jsonl: line 2: no JSON", csv(), data(sources={"rows": {"uris": ["data.jsonl"]}}),
         prepare=lambda place: (place / "data.jsonl").write_text('{"y": 1}\n{"y": }\n') and None),
]  # fmt: skip
TABLE = [
    Case("two columns of one name", r"column 'age' stands twice", csv().replace(b"income", b"age", 1)),
    Case("a column named like a missing value", r"column 'NA' has a name that read\.na reads as missing", table(
        NA=columns()["age"])),
    Case("a target that is not there", r"data\.target: no column 'yy'; did you mean 'y'", csv(), data(target="yy")),
    Case("a renamed feature", r"features\.categorical: no column 'town'", csv(),
         {"features": {"categorical": ["town"]}}),
    Case("a column whose case changed", r"data\.target: no column 'Y'; did you mean 'y'", csv(), data(target="Y")),
    Case("a cell that a spreadsheet would run", r"rows", table(city=_every("=1+2", lambda i: "Seoul", 3)), code=0),
    Case("numbers and words in one column", r"age: 9\d% of the texts are numbers, 'old' is not", table(age=_every("old", lambda i: 20 + i % 50, 30)),
         code=0),
    Case("amounts with currency signs", r"income: 100% of the texts are numbers; read\.numbers: \{income: \"1,234\.56\"\} reads",
         table(income=[f'"${i % 7 + 1},{i % 90 + 100}.50"' for i in range(ROWS)]), code=0),
    Case("a cell that is no amount", r"data\.sources\.rows\.read\.numbers\.city: 'Seoul' is not written as 1,234\.56", csv(), data(
        sources={"rows": {"uris": ["data.csv"], "read": {"numbers": {"city": "1,234.56"}}}})),
    Case("ids of 20 digits", r"id: holds whole numbers beyond 2\^53", table(id=[str(10**19 + i) for i in range(ROWS)]), code=0),
    Case("an index without a name", r"column0 is not used: has no name in the file", lambda: b"".join(
        (b"" if i == 0 else b"%d" % i) + b"," + line for i, line in enumerate(csv().splitlines(keepends=True))), code=0),
    Case("dates out of range", r"rows", table(city=_every("2023-13-45", lambda i: "2023-01-02", 30)), code=0),
    Case("numbers with thousands separators", r"income: 100% .* '\d,\d{3}' is \d+ by read\.numbers: .* does not tell which: choose one", table(
        income=[f'"{1 + i % 9},{100 + i}"' for i in range(ROWS)]), code=0),
    Case("numbers with decimal commas", r"read\.numbers: {income: \"1\.234,56\"} reads '\d+,5' as \d+\.5", table(
        income=[f'"{100 + i},5"' for i in range(ROWS)]), code=0),
    Case("infinite numbers", r"income: .*texts are numbers.*read\.types", table(income=_every("inf", lambda i: 1000 + i, 30)), code=0),
    Case("a feature without a value", r"income is not used: no value in any row", table(income=[None] * ROWS), code=0),
    Case("a feature of one value", r"income is not used: the same value in each row", table(income=[5] * ROWS), code=0),
    Case("a target without a value", r"data\.target: 'y' holds no value at all", table(y=[None] * ROWS)),
    Case("a target of one value", r"data\.target: 'y' holds only 1", table(y=[1] * ROWS)),
    Case("a target missing in some rows", r"12 rows have no target and were left out", table(
        y=_every(None, lambda i: i % 2, 10)), code=0),
    Case("a target with unexpected values", r"'y' has 3 values", table(y=_every(9, lambda i: i % 2, 30))),
    Case("a positive class that does not occur", r"data\.positive: 'yes' is no value", csv(), data(positive="yes")),
    Case("the target among the features", r"reads 'y', which is not known beforehand", csv(),
         {"features": {"derive": {"twice": "y * 2"}}}),
    Case("the target under another name", r"leak: copy alone predicts the target", table(
        copy=columns()["y"]), code=0),
    Case("an infinite number as target", r"regression needs numbers, 'y' holds 'inf'", table(y=_every("inf", lambda i: i / 7, 30)),
         data(positive=None) | {"problem": {"kind": "regression"}}),
    Case("a class that one side lacks", r"split: .* (holds one class only|holds no row of class)", table(
        y=_every(1, lambda i: 0, 119))),
    Case("classes with too few rows", r"'c3' \(3 in all\).*merge them into one by data: \{rare_classes: \{under: ", table(
        y=[f"c{min(i % 40, 8)}" for i in range(ROWS)]), data(positive=None)),
    Case("rare classes that are neither merged nor left out", r"data\.rare_classes: name either into", csv(), data(
        rare_classes={"under": 10})),
    Case("an empty side", r"split: no row fell into", csv(columns(2))),
    Case("fewer rows than folds", r"search\.folds: 20 folds", csv(columns(60)),
         {"search": {"folds": 20, "trials": 1}}, ("train",)),
    Case("an id that is the target", r"data: id names 'y', which is the target", csv(), data(id="y")),
    Case("ids that repeat", r"60 rows repeat an id", table(id=[f"r{i // 2}" for i in range(ROWS)]), code=0),
    Case("ids that are missing", r"12 rows have no id", table(id=_every(None, lambda i: f"r{i}", 10)), code=0),
    Case("groups that hold one class", r"split: (no row fell into|.* holds one class)", table(
        city=["a" if i < 90 else "b" for i in range(ROWS)], y=[int(i >= 90) for i in range(ROWS)]),
         {"split": {"by": "group", "columns": ["city"]}}, ("train",)),
    Case("times out of order", r"rows", table(
        at=[f"2024-{1 + i * 7 % 12:02d}-{1 + i % 28:02d}" for i in range(ROWS)]),
         {"split": {"by": "time", "column": "at"}}, code=0),
    Case("times whose day and month may be swapped", r"'at' can be read in two ways, '01/02/2024' as .*; say which", table(
        at=_every("01/02/2024", lambda i: "03/04/2024", 2)), {"split": {"by": "time", "column": "at"}}),
    Case("times that are words", r"split\.column: 'at' holds text that is no date, such as", table(
        at=_every("spring", lambda i: "autumn", 2)), {"split": {"by": "time", "column": "at"}}),
    Case("a form of dates that the cells do not have", r"read\.dates: 'at' holds .*, which is no date of the form %b-%Y", table(
        at=["2024-01-02"] * ROWS), data(sources={"rows": {"uris": ["data.csv"], "read": {"dates": {"at": "%b-%Y"}}}})),
    Case("a form that is no date", r"read\.dates\.at: '%d %b' does not tell a date", csv(), data(
        sources={"rows": {"uris": ["data.csv"], "read": {"dates": {"at": "%d %b"}}}})),
    Case("a value of the split that no row has", r"split\.test: 'Ulsan' is in no row of 'city', which holds 'Busan' \(40 rows\)",
         csv(), {"split": {"by": "column", "column": "city", "train": ["Seoul", "Busan"], "test": ["Ulsan"]}}),
    Case("a value that names two sides", r"split: 'Seoul' is in train and in test", csv(),
         {"split": {"by": "column", "column": "city", "train": ["Seoul"], "test": ["Seoul"]}}),
    Case("a time without a value", r"split\.column: 'at' has no value", table(at=[None] * ROWS),
         {"split": {"by": "time", "column": "at"}}),
    Case("a category of a million values", r"code is not used: about .* distinct texts", lambda: csv(columns(
        times(20_000, 1_000_000), code=[f"c{i}" for i in range(times(20_000, 1_000_000))])), code=0),
    Case("5,000 columns", r"rows", lambda: csv(columns() | {
        f"x{n}": [i * n % 97 for i in range(ROWS)] for n in range(times(500, 5000))}), code=0),
    Case("Hangul names in decomposed form", r"rows", csv(
        {unicodedata.normalize("NFD", "나이"): columns()["age"]} | columns()),
         {"features": {"numeric": ["나이"]}}, code=0),
    Case("a text of 10 MB", r"rows", lambda: table(city=_every('"' + "말 " * 2_500_000 + '"', lambda i: "Seoul", 119)),
         code=0),
    Case("a column of Ratchet's own name", r"names beginning with ratchet_ are Ratchet's own", csv(
        columns(ratchet_side=[1] * ROWS))),
    Case("a column with a quote, a newline and a semicolon in its name", r"rows", table(
        **{'"a\'b;\n--"': [i % 5 for i in range(ROWS)]}), code=0),
    Case("a column name of 10,000 letters", r"rows", table(**{"x" * 10_000: [i % 5 for i in range(ROWS)]}), code=0),
]  # fmt: skip
SQL = [
    Case("SQL that writes a file", r"data\.query: it has to be one SELECT", csv(), query("COPY rows TO 'stolen.csv'")),
    Case("SQL that drops a table", r"data\.query: it has to be one SELECT", csv(), query("DROP VIEW rows")),
    Case("two statements", r"data\.query: it has to be one SELECT", csv(), query("SELECT * FROM rows; SELECT 1")),
    Case("SQL that reads another file", r"data\.query: .*(disabled|Permission)", csv(),
         query("SELECT *, 1 AS y FROM read_csv('/etc/passwd')")),
    Case("SQL that lists the disk", r"data\.query: .*(disabled|Permission)", csv(), query("SELECT * FROM glob('/*')")),
    Case("SQL that loads an extension", r"data\.query: it has to be one SELECT", csv(), query("INSTALL httpfs")),
    Case("SQL that reads the network", r"data\.query: .*(disabled|Permission|extension)", csv(),
         query("SELECT * FROM 'https://example.com/a.parquet'")),
    Case("SQL that reads the environment", r"data\.query: .*", csv(), query("SELECT *, getenv('HOME') FROM rows")),
    Case("SQL that unlocks the settings", r"data\.query: it has to be one SELECT", csv(),
         query("SET enable_external_access = true")),
    Case("SQL with a mistake", r"data\.query: .*(syntax|Parser)", csv(), query("SELEKT * FROM rows")),
]  # fmt: skip
WORDS = [
    Case("a formula that calls Python", r"features\.derive\.x: .*__import__", csv(),
         {"features": {"derive": {"x": "__import__('os').system('id')"}}}),
    Case("a formula that reaches for attributes", r"features\.derive\.x: ", csv(),
         {"features": {"derive": {"x": "age.__class__"}}}),
    Case("a formula with a lambda", r"features\.derive\.x: ", csv(), {"features": {"derive": {"x": "(lambda: 1)()"}}}),
    Case("a formula that never ends", r"features\.derive\.x: ", csv(),
         {"features": {"derive": {"x": "9 ** 9 ** 9 ** 9"}}}),
    Case("a formula of 100,000 brackets", r"features\.derive\.x: ", csv(),
         {"features": {"derive": {"x": "(" * 100_000}}}),
    Case("an acceptance without a reason", r"gates\.accept\.0\.reason: missing", csv(),
         {"gates": {"accept": [{"gate": "leak", "column": "age"}]}}),
    Case("an acceptance of nothing by name", r"a leak is accepted by its column or by its metric", csv(),
         {"gates": {"accept": [{"gate": "leak", "reason": "fine"}]}}),
    Case("a YAML bomb", r"aliases \(\*name\) are not used here", csv(),
         yaml="a: &a [x, x]\nb: &b [*a, *a]\nname: [*b, *b]\n"),
    Case("YAML that makes Python objects", r"not YAML", csv(), yaml="name: !!python/object/apply:os.system [id]\n"),
    Case("YAML with a tab", r"task\.yaml:2: not YAML.*indent it like the line above: data: y", csv(), yaml="name: x\n\tdata: y\n"),
    Case("a question mark in YAML's brackets", r'write the value in quotes: problem: \{question: "Is it so\?"\}', csv(),
         yaml="name: x\nproblem: {question: Is it so?}\ndata: {}\n"),
    Case("quotes of prose in YAML", r'quotes of prose.*write the value in quotes: target: "y"', csv(),
         yaml="name: x\ndata:\n  target: “y”\n"),
    Case("a text that YAML cuts off at a #", r'a blank after #, else write the value in quotes: question: "Why is #3 so"',
         csv(), yaml="name: x\nproblem:\n  question: Why is #3 so\ndata: {}\n"),
    Case("a key that stands twice", r"key 'name' stands twice", csv(), yaml="name: x\nname: y\n"),
    Case("a task that is no mapping", r"a task is a mapping", csv(), yaml="- 1\n"),
    Case("a task that is not UTF-8", r"task\.yaml: cannot be read", csv(), prepare=lambda place: (
        place / "task.yaml").write_bytes(b"name: \xb3\xaa\xc0\xcc\n")),
    Case("an unknown key", r"search\.trails: unknown key; did you mean 'trials'", csv(), {"search": {"trails": 3}}),
    Case("a split of an unknown kind", r"split\.by: no split 'random'; one of hash", csv(), {"split": {"by": "random"}}),
    Case("a metric for another kind of target", r"search\.metric: rmse is not defined for a binary", csv(),
         {"search": {"metric": "rmse"}}),
    Case("a name that leaves the folder", r"name: ", csv(), {"name": "../../etc"}),
    Case("a name with a newline", r"name: ", csv(), {"name": "a\nb"}),
    Case("a name with a quote", r"name: ", csv(), {"name": "a'b"}),
    Case("a name of 10,000 letters", r"name: ", csv(), {"name": "a" * 10_000}),
    Case("a source of 10,000 letters", r"data\.sources: 'aaa.*File name too long", csv(), data(sources={"rows": {"uris": ["a" * 10_000]}})),
    Case("a source with a newline and a quote", r"data\.sources\.rows: not found", csv(), data(
        sources={"rows": {"uris": ["da\nta'.csv"]}})),
    Case("a source of an unknown kind", r"no source kind 'ftp'", csv(), data(
        sources={"rows": {"uris": ["ftp://host/data.csv"]}})),
    Case("a task that is not there", r"taks\.yaml: no such file; did you mean '.*task\.yaml'", csv(),
         command=("preprocess", "-c", "taks.yaml")),
    Case("a number that is none", r"abc", csv(), command=("train", "--trials", "abc"), code=2),
    Case("a number out of bounds", r"--trials", csv(), command=("train", "--trials", "0")),
    Case("an unknown command", r"No such command 'trian'", csv(), command=("trian",), code=2),
    Case("an output that leaves the folder", r"the folder .* is not there", csv(),
         command=("score", "--input", "data.csv", "--output", "../nowhere/a.csv")),
    Case("an output of an unknown kind", r"\.csv or a \.parquet", csv(),
         command=("score", "--input", "data.csv", "--output", "a.xls")),
    Case("an output name of 10,000 letters", r"aaa…: the name is too long; give it a shorter one", csv(),
         command=("score", "--input", "data.csv", "--output", "a" * 10_000 + ".csv")),
    Case("scoring before a model is in Production", r"no version.*Production", csv(),
         command=("score", "--input", "data.csv", "--output", "a.csv")),
    Case("a withdrawal without a reason", r"withdraw: give a reason with --reason", csv(), command=("withdraw",)),
    Case("a withdrawal where nothing is in Production", r"small: nothing is in Production, so there is nothing to withdraw",
         csv(), command=("withdraw", "--reason", "it approves everybody")),
    Case("a fallback without a rule", r"serving\.fallback: rule, and there is none", csv(),
         {"serving": {"fallback": "rule"}}),
    Case("rolling back without a former champion", r"small.*(no|nothing)", csv(), command=("rollback",)),
]  # fmt: skip
CASES = [*FILES, *TABLE, *SQL, *WORDS, *MACHINE]
