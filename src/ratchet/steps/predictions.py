"""What each side said of each row of test: kept by evaluate for whoever looks into it later."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ratchet.adapters.runs import Run
from ratchet.core.metrics import Judged
from ratchet.stages import CHAMPION
from ratchet.steps.session import Session

FILE, TRUTH = "predictions.parquet", "truth"
MODEL = "model"
SIDES = (MODEL, "rule", "dummy", CHAMPION)


def keep(session: Session, run: Run, judged: Mapping[str, Judged]) -> None:
    """Log the answers of the sides that there are, in the order of the rows of test."""
    there = {who: each for who in SIDES if (each := judged.get(who))}
    with session.work_folder() as folder:
        pd.DataFrame(as_columns(there)).to_parquet(folder / FILE, compression="zstd", index=False)
        run.log_files(folder, "")


def as_columns(judged: Mapping[str, Judged]) -> dict[str, np.ndarray]:
    """Return answers as columns: truth, WHO or (of several classes) WHO.0, WHO.1 ..., and WHO.decided."""
    found = {TRUTH: judged[MODEL].truth}
    for who, each in judged.items():
        if each.scores.ndim > 1:  # half the size, and their eighth figure decides nothing
            found |= {f"{who}.{place}": column.astype(np.float32) for place, column in enumerate(each.scores.T)}
        else:
            found[who] = each.scores
        if each.decided is not each.scores:
            found[f"{who}.decided"] = each.decided.astype(np.int32)
    return found
