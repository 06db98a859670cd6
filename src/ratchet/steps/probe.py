"""What is found out about a model beside its answers: how fast, how heavy, how old its data, and whether it serves."""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from ratchet.adapters import modelserver, registry, servers
from ratchet.config import Gate, Task, TimeSplit
from ratchet.core import answers, bootstrap, gates
from ratchet.core.bootstrap import Estimate
from ratchet.core.gates import FAIL, INSUFFICIENT, PASS, Asked, Verdict
from ratchet.errors import ServerError
from ratchet.settings import SERVE_HOST
from ratchet.steps import chronicle
from ratchet.steps.evaluate import Evaluated
from ratchet.steps.preprocess import Prepared
from ratchet.steps.session import Session

ROWS = {"one_row": 1, "thousand_rows": 1_000}
PAIRS = {"one_row": 400, "thousand_rows": 60}  # of measurements, one of each side
WARM = 10
FUTURE_DAYS = 1  # that a time may lie ahead of UTC, by its time zone or by a clock


def latency(session: Session, evaluated: Evaluated, prepared: Prepared, gate: Gate) -> Verdict:
    """Compare how long the model and the champion take for an answer, turn by turn in this process."""
    size = str(gate.latency)
    champion = evaluated.report["champion"]
    name = f"time of {size.replace('_', ' ')}"
    rows = prepared.rows("test", most=ROWS[size])
    rows = pd.concat([rows] * math.ceil(ROWS[size] / len(rows)), ignore_index=True).head(ROWS[size])
    own = session.scorer(evaluated.trained.model)
    if champion is None:
        alone = np.median([_ms(lambda: own.predict(rows)) for _ in range(PAIRS[size])])
        return Verdict(PASS, f"{name} {alone:.2f} ms; there is no champion yet", float("nan"))
    if not champion["metrics"]:
        return Verdict(INSUFFICIENT, f"{name}: {champion['reason']}", float("nan"))
    version = registry.numbered(session.client, session.task.name, champion["version"])
    other = session.scorer(chronicle.model_of(session, version))
    pairs = np.array([[_ms(lambda: own.predict(rows)), _ms(lambda: other.predict(rows))] for _ in range(PAIRS[size])])
    pairs = pairs[WARM:]
    took = np.median(pairs, axis=0)
    asked = Asked(f"{name} beside the champion's:", "<=", gate.max_ratio or 0.0,
                  f" times ({took[0]:.2f} ms, {took[1]:.2f} ms)", "measurements")  # fmt: skip
    found = ratio_of_medians(pairs, session.task.search.seed)
    return gates.weigh(asked, Estimate(found.figure) if gate.point else found, len(pairs))


def ratio_of_medians(pairs: np.ndarray, seed: int) -> Estimate:
    """Return the ratio of two medians of paired times, with its draws. pairs: (n, 2)."""
    drawn = np.random.default_rng(seed).integers(0, len(pairs), (bootstrap.DRAWS, len(pairs)))
    medians = np.median(pairs[drawn], axis=1)
    figure = np.median(pairs, axis=0)
    return Estimate(float(figure[0] / figure[1]), np.sort(medians[:, 0] / medians[:, 1]))


def _ms(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def size(session: Session, evaluated: Evaluated, most: float) -> Verdict:
    """Weigh the model's files."""
    with session.fetched(evaluated.trained.model) as folder:  # its run's metric is what anybody can write there
        found = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return gates.weigh(Asked("size of the model (MB)", "<=", most), Estimate(found / 1e6), 0)


def age(task: Task, prepared: Prepared, most: float) -> Verdict:
    """Tell how old the newest row is: by the column that the split goes by, else by the stated period."""
    newest = _newest(task, prepared)
    if newest is None:
        mend = "state the end of data.collected.period, as in 2024-01/2024-12, or split by time"
        return Verdict(INSUFFICIENT, f"age of the data is not known; {mend}", math.nan, threshold=most)
    days = (datetime.now(UTC).replace(tzinfo=None) - newest) / pd.Timedelta(days=1)
    if days < -FUTURE_DAYS:
        if isinstance(task.split, TimeSplit):
            verdict, mend = FAIL, f"the newest row is of {newest:%Y-%m-%d}, to come; is {task.split.column} read right?"
        else:
            verdict, mend = INSUFFICIENT, f"data.collected.period ends on {newest:%Y-%m-%d}, to come; end it at the"
            mend += " newest row"
        return Verdict(verdict, f"age of the data is not known: {mend}", round(days, 1), threshold=most)
    days = max(days, 0.0)
    asked = Asked("age of the data (days)", "<=", most, f" (the newest is of {newest:%Y-%m-%d})")
    return gates.weigh(asked, Estimate(round(days, 1)), 0)


def _newest(task: Task, prepared: Prepared) -> datetime | None:
    if isinstance(task.split, TimeSplit):
        values = prepared.rows("test", [task.split.column])[task.split.column]
        if pd.api.types.is_numeric_dtype(values.dtype):  # of what it counts seconds or months is not known
            return None
        times = pd.to_datetime(values, errors="coerce", utc=True).dt.tz_localize(None)
        newest: datetime | None = None if times.isna().all() else times.max().to_pydatetime()
        return newest
    return end_of_period(task.data.collected.period)


def end_of_period(text: str) -> datetime | None:
    """Return the end of a period such as 2024-01/2024-12, 2024 or 2024-03-05; None for other words."""
    last = text.rpartition("/")[2].strip()
    for form, span in (("%Y-%m-%d", "D"), ("%Y-%m", "M"), ("%Y", "Y")):
        try:
            end: datetime = pd.Period(datetime.strptime(last, form), span).end_time.to_pydatetime(warn=False)
        except ValueError:
            continue
        return end
    return None


def serves(session: Session, evaluated: Evaluated, env_manager: str) -> Verdict:
    """Serve the model for real and hold its answers against those that evaluate recorded, bit for bit."""
    recorded = evaluated.report["answers"]
    name = f"served in an environment of {'its own' if env_manager == 'uv' else 'this machine'}"
    address = modelserver.Address(SERVE_HOST, servers.free_port())
    try:
        with session.fetched(evaluated.trained.model) as folder:
            body = modelserver.sample_rows(folder)
            with modelserver.serving(folder, address, env_manager, session.settings) as server:
                answered = modelserver.ask(server.url, body)["predictions"]
    except ServerError as error:
        return Verdict(FAIL, f"{name}: {error}", 0.0, threshold=1.0)
    same = answers.alike(answered, recorded)
    share = sum(same) / max(len(same), 1)
    if all(same):
        text = f"{name} it answers its {len(same)} sample rows as evaluate recorded"
        return Verdict(PASS, text, share, "", share, share, 1.0, len(same))
    text = f"{name} {answers.difference(answered, recorded)}"
    return Verdict(FAIL, text, share, "", share, share, 1.0, len(same))
