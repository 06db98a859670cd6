"""What the MLflow UI shows of a task and its runs: names that tell runs apart, notes, and figures to compare by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ratchet.adapters import records, tracking
from ratchet.adapters.runs import NAME, NOTE, Run
from ratchet.config import METRICS, Task
from ratchet.core import asked, notes
from ratchet.errors import GateRefused
from ratchet.settings import masked
from ratchet.steps.inputs import config_of

if TYPE_CHECKING:
    from ratchet.adapters.registry import Version
    from ratchet.adapters.study import Trial
    from ratchet.steps.evaluate import Evaluated
    from ratchet.steps.preprocess import Prepared
    from ratchet.steps.session import Session

DATA = "data.digest"  # parameter of a main run: the digest of the data that it read
REFUSED = "refused"
LONGEST_TEXT = 4_000  # characters of what a version's page begins with; the registry takes 5,000, and more is added


@dataclass(frozen=True)
class Outcome:
    """How a promotion ended. word: for a run's name; sentence: in full; gates: each verdict as plain values."""

    word: str
    sentence: str
    gates: Sequence[Mapping[str, Any]]
    version: int | None = None


def of_move(version: "Version", gates: Sequence[Mapping[str, Any]]) -> Outcome:
    """Return the outcome of a promotion that ended in a stage."""
    sentence = f"{version.name} version {version.number} is in {version.stage}."
    return Outcome(f"version {version.number} in {version.stage}", sentence, gates, version.number)


def of_refusal(refusal: GateRefused) -> Outcome:
    """Return the outcome of a promotion that was refused."""
    return Outcome(REFUSED, str(refusal), refusal.gates)


def parameters(task: Task) -> dict[str, str]:
    """Return what a task sets other than the defaults, by its place in the YAML file: few enough for a list of runs.

    Where the data lie is left out: their digest says whether they are others, and an address may hold a password.
    """
    return config_of(task.model_dump(mode="json", exclude_defaults=True, exclude={"name": True, "data": {"sources"}}))


def begin_main(session: "Session", run: Run, prepared: "Prepared") -> str:
    """Name a main run by what changed since the one before, and log its parameters; return the name."""
    task, client = session.task, session.client
    now = parameters(task) | {DATA: str(prepared.about["data_digest"])[:12]}
    own = f"tags.`{records.TASK}` = '{task.name}' and tags.`{records.STEP}` = 'main' and params.`{DATA}` LIKE '%'"
    before = records.find(client, own, 1)
    former = dict(before[0].data.params) if before else None
    if former is not None:  # `mlflow run` logs parameters of its own
        former = {name: value for name, value in former.items() if "." in name or name in Task.model_fields}
    logged = {name: value[:500] for name, value in now.items()}
    name = notes.run_name(run.name, notes.changed(former, logged, config_of(task.model_dump(mode="json")) | now))
    run.log_params(logged)
    run.set_tags({NAME: name})
    for source in prepared.about["sources"]:
        run.log_data(source["name"], source["sha256"], source["origin"], "main")
    session.patience.call(lambda: _describe_experiment(session, run, prepared.kind), session.spool.server)
    return name


def _describe_experiment(session: "Session", run: Run, kind: str) -> None:
    metric = asked.metric(session.task, kind)
    about = tracking.About(
        session.task.problem.question or f"Task `{session.task.name}`.",
        f"test_{metric}",
        METRICS[metric].higher_is_better,
    )
    tracking.describe_experiment(session.client, run.experiment_id, session.task.name, about)


def end_main(session: "Session", run: Run, name: str, evaluated: "Evaluated", outcome: Outcome) -> None:
    """Give a main run its name with the score, its note, and its figures."""
    report, task = evaluated.report, session.task
    metric = asked.metric(task, report["kind"])
    full_name = notes.run_name(name, _score(metric, report["metrics"]), outcome.word)
    run.set_tags({NAME: full_name, NOTE: _note(run, task, evaluated, outcome)})
    run.log_metrics(headline(metric, report))


def headline(metric: str, report: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures that a list of runs compares by: of test, with the interval of the metric that was tuned."""
    low, high = report["intervals"][metric]
    found = {f"test_{name}": value for name, value in report["metrics"].items()}
    found |= {f"test_{metric}_low": low, f"test_{metric}_high": high}
    others = report["baselines"] | {"champion": (report["champion"] or {}).get("metrics", {})}
    return found | {f"{who}_{metric}": values[metric] for who, values in others.items() if metric in values}


def _note(run: Run, task: Task, evaluated: "Evaluated", outcome: Outcome) -> str:
    runs = f"experiments/{run.experiment_id}/runs"
    ways = [notes.link("training", f"{runs}/{evaluated.trained.run_id}"),
            notes.link("evaluation", f"{runs}/{evaluated.run_id}")]  # fmt: skip
    commands = "ratchet run -c FILE --why"
    if outcome.version:
        ways.append(notes.link(f"version {outcome.version}", f"models/{task.name}/versions/{outcome.version}"))
        commands += f"\nratchet serve -c FILE\nratchet reproduce {outcome.version} -c FILE"
    return notes.sections(
        ("", task.problem.question),
        ("", f"**{outcome.sentence}**"),
        ("Figures", notes.report(evaluated.report)),
        ("Gates", notes.gates(outcome.gates)),
        ("Data", _sources(task)),
        ("More", f"{', '.join(ways)}\n\n```\n{commands}\n```"),
    )


def _sources(task: Task) -> str:
    return "\n".join(
        f"- `{name}`: {', '.join(f'`{masked(uri)}`' for uri in source.uris)}"
        for name, source in task.data.sources.items()
    )


def preprocess_run(run: Run, about: Mapping[str, Any]) -> None:
    """Describe a run of preprocess."""
    sides = ", ".join(f"{side} {count:,}" for side, count in about["sides"].items())
    lines = [f"- {finding}" for finding in about["findings"]]
    lines += [f"- `{column}` is not used: {why}" for column, why in about["dropped"].items()]
    note = notes.sections(("", f"{about['kind']}; rows: {sides}."), ("Findings", "\n".join(lines)))
    run.set_tags({NAME: notes.run_name(run.name, f"{about['counts']['rows']:,} rows"), NOTE: note})


def train_run(run: Run, task: Task, trials: Sequence["Trial"], best: "Trial", metric: str) -> None:
    """Describe a run of train by the configuration that it chose."""
    params = notes.table(["parameter", "value"], [[name, str(value)] for name, value in best.params.items()])
    text = f"`{best.family}`, {metric} {best.score or 0:.4f} over {len(best.folds)} folds, of {len(trials)} trials."
    run.set_tags({
        NAME: notes.run_name(run.name, best.family, f"cv {metric} {best.score or 0:.4f}"),
        NOTE: notes.sections(("", task.problem.question), ("", text), ("Chosen", "\n".join(params)),
                             ("Data", _sources(task))),
    })  # fmt: skip


def evaluate_run(run: Run, task: Task, report: Mapping[str, Any]) -> None:
    """Describe a run of evaluate by its figures."""
    metric = asked.metric(task, report["kind"])
    note = notes.sections(("", task.problem.question), ("Figures", notes.report(report)))
    run.set_tags({NAME: notes.run_name(run.name, _score(metric, report["metrics"])), NOTE: note})


def promote_run(run: Run, outcome: Outcome) -> None:
    """Describe a run of promote by what each gate said."""
    note = notes.sections(("", f"**{outcome.sentence}**"), ("Gates", notes.gates(outcome.gates)))
    run.set_tags({NAME: notes.run_name(run.name, outcome.word), NOTE: note})


def version_text(task: Task, report: Mapping[str, Any]) -> str:
    """Return what stands on the page of a version: the question and the figures."""
    text = notes.sections(("", task.problem.question or f"{task.name}."), ("Figures", notes.report(report)),
                          ("Data", _sources(task)))  # fmt: skip
    return text[:LONGEST_TEXT]


def model_text(task: Task) -> str:
    """Return what stands on the page of a registered model."""
    commands = "ratchet status -c FILE\nratchet ledger -c FILE\nratchet serve -c FILE"
    text = f"Alias `champion`: the version in Production; `challenger`: in Staging.\n\n```\n{commands}\n```"
    return notes.sections(("", task.problem.question or f"{task.name}."), ("", text), ("Data", _sources(task)))[
        :LONGEST_TEXT
    ]


def _score(metric: str, figures: Mapping[str, float]) -> str:
    return f"{metric} {figures[metric]:.4f}" if metric in figures else ""
