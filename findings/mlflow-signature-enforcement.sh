#!/usr/bin/env bash
# mlflow (mlflow-skinny) 3.17.2 with pandas 3.1.1: what a model's signature does to a frame before the model sees it.
#
# 1. Whether int64 goes into a `double` column depends on the values: a frame of 0 and 1 is taken, one with a 2 is
#    refused ("Can not safely convert int64 to float64"). A test on few rows passes, production fails.
#    Source: mlflow/models/utils.py, _enforce_mlflow_datatype, all_zero_or_ones.
# 2. A column of `AnyType`, which takes both, makes the same server refuse every CSV body: Schema.pandas_types() raises
#    for it ("Failed to get pandas types as some of the inputs types are not DataType").
#    Source: mlflow/types/schema.py, Schema.pandas_types; mlflow/pyfunc/scoring_server, parse_csv_input.
#
# Output seen:
#   int64 of 0 and 1 into double: taken
#   int64 of 0 and 2 into double: refused
#   CSV where a column is double: taken
#   CSV where a column is any: refused
# Exit 0: as described; 1: it has changed.
set -euo pipefail
PLACE="$(mktemp -d)"
trap 'rm -rf "$PLACE"' EXIT
python3 -m venv "$PLACE/venv"
"$PLACE/venv/bin/pip" install --quiet "mlflow-skinny==3.17.2" "pandas==3.1.1"
cd "$PLACE"
"$PLACE/venv/bin/python" - <<'EOF'
import io
import sys

import pandas as pd
from mlflow.models.utils import _enforce_schema
from mlflow.pyfunc.scoring_server import parse_csv_input
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import AnyType


def tried(what, call):
    try:
        call()
    except Exception as error:
        print(f"{what}: refused")
        return False
    print(f"{what}: taken")
    return True


double, free = (Schema([ColSpec(kind, "x")]) for kind in ("double", AnyType()))
seen = [
    tried("int64 of 0 and 1 into double", lambda: _enforce_schema(pd.DataFrame({"x": [0, 1]}), double)),
    tried("int64 of 0 and 2 into double", lambda: _enforce_schema(pd.DataFrame({"x": [0, 2]}), double)),
    tried("CSV where a column is double", lambda: parse_csv_input(io.StringIO("x\n1\n"), double)),
    tried("CSV where a column is any", lambda: parse_csv_input(io.StringIO("x\n1\n"), free)),
]
sys.exit(seen != [True, False, True, False])
EOF
