#!/usr/bin/env bash
# DuckDB 2.0.0: read_parquet and read_csv of ONE file take a folder KEY=VALUE anywhere above it for a column KEY, and
# where the file has a column of that name they replace the file's own values, without a word. The same bytes at another
# path hold other rows. (hive_partitioning is documented to be detected by itself; that it wins over a column of the file,
# for a single file too, a good engineer would not guess.) Mend: hive_partitioning = false.
# Source: https://duckdb.org/docs/stable/data/partitioning/hive_partitioning ("autodetection").
# Exit 0: it is still so; 1: it has changed.
set -eu
PLACE="$(mktemp -d)"
trap 'rm -rf "$PLACE"' EXIT
python3 -m venv "$PLACE/venv"
"$PLACE/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.0
cd "$PLACE"
"$PLACE/venv/bin/python" - <<'EOF'
import os
import duckdb

os.makedirs("y=9/in")
db = duckdb.connect()
db.execute("COPY (SELECT i AS a, i % 2 AS y FROM range(4) t(i)) TO 'y=9/in/rows.parquet' (FORMAT parquet)")
db.execute("COPY (SELECT i AS a, i % 2 AS y FROM range(4) t(i)) TO 'y=9/in/rows.csv'")
changed = False
for reader in ("read_parquet('y=9/in/rows.parquet'", "read_csv('y=9/in/rows.csv'"):
    seen = [row[0] for row in db.execute(f"SELECT y FROM {reader}) ORDER BY a").fetchall()]
    off = [row[0] for row in db.execute(f"SELECT y FROM {reader}, hive_partitioning = false) ORDER BY a").fetchall()]
    print(f"duckdb {duckdb.__version__} {reader}): y is {seen}; with hive_partitioning = false {off}")
    changed |= seen != [9, 9, 9, 9] or off != [0, 1, 0, 1]
raise SystemExit(changed)
EOF
