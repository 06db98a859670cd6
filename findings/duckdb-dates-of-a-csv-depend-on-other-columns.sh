#!/usr/bin/env bash
# DuckDB 2.0.0, read_csv: which day a cell is depends on the other columns of the file, and nothing is said.
#
# A CSV has one date format for all of its columns, guessed from all of them together. The same three cells 01/02/2024,
# 03/04/2024, 05/06/2024 are 1 February, 3 April and 5 June in a file of their own; beside a column that is surely written
# month first they are 2 January, 4 March and 6 May; beside one of the form 25-12-2023 they are text. An ambiguous cell of
# two-digit years, 01-02-24, is 24 February 2001, and as a cast ('01-02-24'::DATE) 24 February of the year 1.
# A good engineer expects types per column, and an error or text where a date is ambiguous.
#
# Source: https://duckdb.org/docs/stable/data/csv/auto_detection ("Dates and timestamps": the list of formats, and that
# the more likely one is taken) and https://github.com/duckdb/duckdb/issues/11840 (depends on the other columns).
# Exit 0: it behaves as told here; 1: it has changed.
set -euo pipefail
PLACE="$(mktemp -d)"
trap 'rm -rf "$PLACE"' EXIT
python3 -m venv "$PLACE/venv"
"$PLACE/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.0
cd "$PLACE"
"$PLACE/venv/bin/python" - <<'PY'
import sys
from datetime import date

import duckdb

CELLS = ["01/02/2024", "03/04/2024", "05/06/2024"]
BESIDE = {
    "alone": None,
    "beside month/day/year": ["12/25/2023", "12/26/2023", "12/27/2023"],
    "beside day-month-year": ["25-12-2023", "26-12-2023", "27-12-2023"],
}
seen = {}
for name, other in BESIDE.items():
    lines = ["b,n"] + [f"{cell},{n}" for n, cell in enumerate(CELLS)]
    if other:
        lines = ["a,b,n"] + [f"{one},{cell},{n}" for n, (one, cell) in enumerate(zip(other, CELLS))]
    with open("rows.csv", "w") as file:
        file.write("\n".join(lines) + "\n")
    seen[name] = duckdb.sql("SELECT b FROM read_csv('rows.csv', sample_size = -1) ORDER BY n LIMIT 1").fetchall()[0][0]
with open("rows.csv", "w") as file:
    file.write("a,n\n01-02-24,1\n03-04-24,2\n")
seen["two digits"] = duckdb.sql("SELECT a FROM read_csv('rows.csv') ORDER BY n LIMIT 1").fetchall()[0][0]
seen["two digits, cast"] = duckdb.sql("SELECT '01-02-24'::DATE").fetchall()[0][0]
for name, value in seen.items():
    print(f"{name}: {value!r}")
expected = {
    "alone": date(2024, 2, 1), "beside month/day/year": date(2024, 1, 2), "beside day-month-year": "01/02/2024",
    "two digits": date(2001, 2, 24), "two digits, cast": date(1, 2, 24),
}
sys.exit(seen != expected)
PY
