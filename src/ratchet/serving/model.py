"""What makes a scorer an MLflow model; MLflow copies this file into the model and runs it there, without Ratchet.

The scoring package is loaded by path under a name made from its digest, so that two versions whose code differs
live in one process.
"""

import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

SERVER = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # set by MLflow in each of its model servers


def load_package(folder: Path) -> ModuleType:
    """Import the package that lies in the folder, once per content."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    name = f"ratchet_scoring_{digest.hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return importlib.import_module(f"{name}.predict")


class ServedScorer(PythonModel):  # type: ignore[misc]
    """Rows in, answers out; `scorer` is the loaded model itself.

    column: the one column of the answers that is wanted, which `mlflow.models.evaluate` needs; set by
    `model_config={"column": "label"}`.
    """

    scorer: Any
    column: str = ""

    def load_context(self, context: Any) -> None:
        """Load the scorer from the model's own code and state."""
        folder = Path(context.artifacts["scorer"])
        self.scorer = load_package(folder / "scoring").load(folder / "state")
        self.column = (context.model_config or {}).get("column", "")

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        """Return one answer per row.

        Args:
            context: MLflow's.
            model_input: the rows, shape (n, columns), of any dtypes; columns that the model does not read are ignored.
            params: `explain` adds reasons, `reasons` of them at most.

        Returns:
            a DataFrame with the columns of the signature's outputs and the index of the rows, or the one of them that
            is wanted; in a server of MLflow (`mlflow models serve`, `mlflow models predict`) a list of objects, the
            form of its JSON answers.

        Raises:
            ValueError: a cell is no number where the model reads one, or there is no such column.
        """
        params = params or {}
        if self.column or not os.environ.get(SERVER):
            return self._columns(model_input, params)
        if params.get("explain"):
            return list(self.scorer.explain(model_input, params["reasons"]))
        return list(self.scorer.predict(model_input))

    def _columns(self, rows: pd.DataFrame, params: dict[str, Any]) -> Any:
        found = pd.DataFrame(self.scorer.columns(rows), index=rows.index)
        if params.get("explain"):
            found["reasons"] = [answer["reasons"] for answer in self.scorer.explain(rows, params["reasons"])]
        if self.column and self.column not in found:
            raise ValueError(f"no column {self.column!r}; the answers have {', '.join(found)}")
        return found[self.column] if self.column else found


set_model(ServedScorer())
