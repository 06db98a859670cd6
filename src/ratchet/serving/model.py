"""What makes a scorer an MLflow model; MLflow copies this file into the model and runs it there, without Ratchet.

The scoring package is loaded by path under a name made from its digest, so that two versions whose code differs
live in one process.
"""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


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
    """Rows in, answers out; `scorer` is the loaded model itself."""

    scorer: Any

    def load_context(self, context: Any) -> None:
        """Load the scorer from the model's own code and state."""
        folder = Path(context.artifacts["scorer"])
        self.scorer = load_package(folder / "scoring").load(folder / "state")

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return one answer per row; `params: {"explain": true, "reasons": 5}` adds its reasons, so many at most."""
        if params and params.get("explain"):
            return list(self.scorer.explain(model_input, params["reasons"]))
        return list(self.scorer.predict(model_input))


set_model(ServedScorer())
