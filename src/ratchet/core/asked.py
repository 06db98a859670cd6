"""What a task asks of its search and its reasons, held against the kind of its target and its features."""

from ratchet.config import METRICS, SEARCH_METRIC, Kind, Task
from ratchet.core.features import Plan
from ratchet.core.models import FAMILIES
from ratchet.core.models.space import Space, narrow
from ratchet.errors import ConfigError, did_you_mean


def check(task: Task, kind: Kind | None) -> None:
    """Raise ConfigError for a metric, family or parameter that does not suit, a line for each.

    kind: None where it is not known yet.
    """
    faults = []
    for ask in (metric, spaces) if kind else (spaces,):
        try:
            ask(task, kind or "binary")  # its spaces hold what those of the others do
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))


def metric(task: Task, kind: str) -> str:
    """Return the metric that is tuned.

    Raises ConfigError if a metric of the task is not defined for the kind of target.
    """
    found = task.search.metric or SEARCH_METRIC[kind]
    gates = [("staging", gate) for gate in task.gates.staging] + [("production", g) for g in task.gates.production]
    for stage, gate in gates:
        if gate.fairness and kind != "binary":
            raise ConfigError(f"gates.{stage}: fairness is told of two classes; the target is {kind}")
    named = [(f"gates.{stage}", gate.metric) for stage, gate in gates]
    named += [("search.metric", found)]
    named += [("problem.hypothesis", task.problem.hypothesis.metric)] if task.problem.hypothesis else []
    for place, name in named:
        if name and kind not in METRICS[name].kinds:
            known = ", ".join(metric for metric in METRICS if kind in METRICS[metric].kinds)
            raise ConfigError(f"{place}: {name} is not defined for a {kind} target; one of {known}")
    return found


def spaces(task: Task, kind: str) -> dict[str, Space]:
    """Return the search space of each family, narrowed as the task says.

    Raises ConfigError for a family that is not tried, or a parameter that it does not have.
    """
    search, is_text = task.search, task.features.kind == "text"
    if unused := sorted(set(search.space) - set(task.families)):
        raise ConfigError(f"search.space.{unused[0]}: not among search.models ({', '.join(task.families)})")
    return {
        family: narrow(family, FAMILIES[family].space(kind, is_text), search.space.get(family, {}))
        for family in task.families
    }


def wording(task: Task, plan: Plan) -> None:
    """Raise ConfigError for reasons that are worded and can never be given, a line for each."""
    if task.reasons and task.features.kind == "text":
        raise ConfigError("reasons: is for tables; a text's reasons are its words; leave it out")
    features = {*plan.kinds, *plan.formulas}
    # A column of the data without a use, such as one value in each row, may have one the next time.
    own = {task.data.target, task.data.id, task.data.truth, *task.data.drop}
    faults = [
        f"reasons.{name}: is no feature: {plan.dropped[name]}"
        if name in own
        else f"reasons.{name}: no feature {name!r}{did_you_mean(name, sorted(features))}"
        for name in task.reasons
        if name in own or name not in {*features, *plan.dropped}
    ]
    if faults:
        raise ConfigError("\n".join(faults))
