"""What a task may say: every key of the YAML file with its default, its bounds and its meaning.

The one home of defaults and bounds. `taskfile.py` reads a file into these models; `docs/config.md` and
`configs/task.schema.json` are generated from them.
"""

from ratchet.config.base import METRICS, SEARCH_METRIC, Kind, Metric, Section
from ratchet.config.data import (
    Collected,
    ColumnSplit,
    Data,
    GroupSplit,
    HashSplit,
    RareClasses,
    Read,
    Source,
    SourceSplit,
    Split,
    TimeSplit,
    is_database,
)
from ratchet.config.gates import FAIRNESS, KEEPS_UP_DROP, KEEPS_UP_RISE, Acceptance, Approvals, Gate, Gates
from ratchet.config.learning import WARNINGS, Cost, Decision, Definitions, Features, Search
from ratchet.config.serving import Rollout, Serving
from ratchet.config.task import Hypothesis, Problem, Task, override

__all__ = [
    "FAIRNESS",
    "KEEPS_UP_DROP",
    "KEEPS_UP_RISE",
    "METRICS",
    "SEARCH_METRIC",
    "WARNINGS",
    "Acceptance",
    "Approvals",
    "Collected",
    "ColumnSplit",
    "Cost",
    "Data",
    "Decision",
    "Definitions",
    "Features",
    "Gate",
    "Gates",
    "GroupSplit",
    "HashSplit",
    "Hypothesis",
    "Kind",
    "Metric",
    "Problem",
    "RareClasses",
    "Read",
    "Rollout",
    "Search",
    "Section",
    "Serving",
    "Source",
    "SourceSplit",
    "Split",
    "Task",
    "TimeSplit",
    "is_database",
    "override",
]
