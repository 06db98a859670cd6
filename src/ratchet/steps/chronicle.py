"""The ledger as steps use it: entries are signed, their head is written to the run too, and the webhook is told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ratchet.adapters import keys, ledger, models, records, tracking, webhook
from ratchet.adapters.ledger import Tail
from ratchet.adapters.models import Model
from ratchet.adapters.registry import Version
from ratchet.adapters.runs import Run
from ratchet.core.history import manifest_of, of_task
from ratchet.core.ledger import DONE, FIRST, Change, Entry, Fault, Head, Who, fault_of, hashed
from ratchet.errors import RatchetError, ServerError
from ratchet.settings import Settings
from ratchet.stages import APPROVE, PROMOTE, REFUSE, ROLLBACK, ROLLOUT, WITHDRAW
from ratchet.steps.session import Session

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from mlflow import MlflowClient

HEAD = "ratchet.ledger"  # tag of a run: the newest entry that it wrote, as number, hash, signature, first entry's hash
HEADS = "ledger"  # folder of its artifacts: an object for each entry that it wrote
RECONCILE = "reconcile"
WRITERS = (PROMOTE, ROLLBACK, APPROVE, REFUSE, RECONCILE, ROLLOUT, WITHDRAW)  # the steps whose runs write entries
MOST_RUNS, MOST_FOLDERS = 10_000, 20  # of which verify reads the tags, and of the newest the objects


def entries(session: Session) -> list[Entry]:
    """Return the entries of the session's task."""
    return of_task(all_entries(session.settings), session.task.name)


def all_entries(settings: Settings) -> list[Entry]:
    """Return the entries of all tasks."""
    return [Entry.from_flat(row) for row in ledger.rows(settings)]


def model_of(session: Session, version: Version) -> Model:
    """Return the model of a version, as the ledger, the version and its run say it is; see `models.fetched`."""
    model = models.of_version(version)
    digest = manifest_of(entries(session), version.number)
    return replace(model, claims={**model.claims, "the ledger": digest}) if digest else model


def append(session: Session, run: Run, change: Change, phase: str = DONE, intent: int | None = None) -> Entry:
    """Append an entry, signed; write the new head on the run, and tell the webhook.

    Raises RatchetError if the role may not append.
    """
    key, made = require_key(session.settings), list[Entry]()

    def make(tail: Tail) -> dict[str, Any]:
        plain = Entry(
            tail.sequence + 1, tail.at, phase, intent, who(session.settings, tail.role), change, tail.hash or FIRST
        )
        made[:] = [_signed(hashed(plain), key)]
        return made[0].flat()

    ledger.append(session.settings, make)
    entry = made[0]
    head = _head(entry, ledger.first(session.settings))
    run.set_tags({HEAD: head})
    run.log_json({"head": head}, f"{HEADS}/{entry.sequence}.json")
    return entry


def _head(entry: Entry, first: str) -> str:
    return f"{entry.sequence} {entry.hash} {entry.signature or '-'} {first}"


def who(settings: Settings, role: str | None = None) -> Who:
    """Return who works here. role: theirs in the database, where it is known already."""
    return Who(ledger.role(settings) if role is None else role, **tracking.identity(settings))


def require_key(settings: Settings) -> "Ed25519PrivateKey | None":
    """Return the key that signs; None where the ledger is a file of one's own and no key is set.

    Raises RatchetError if the ledger is a team's and there is none.
    """
    key = keys.signer()
    if key is None and not is_own(settings):
        raise RatchetError(
            f"{keys.PRIVATE}: unset; the entries of a team's ledger are signed: `ratchet ledger key FILE` makes a key"
        )
    return key


def _signed(entry: Entry, key: "Ed25519PrivateKey | None") -> Entry:
    if key is None:
        return entry
    return replace(entry, key=keys.name_of(key.public_key()), signature=key.sign(entry.hash.encode()).hex())


@contextmanager
def told(session: Session) -> Iterator[None]:
    """Tell the webhook, once the block is over, what it has not had; what it does not take is sent with the next entry.

    Raises ConfigError, before the block, if its address is none.
    """
    url = webhook.address()
    if not url:
        yield
        return
    ledger.begin_deliveries(session.settings)
    try:
        yield
    finally:
        try:
            for row in ledger.undelivered(session.settings):
                webhook.send(url, row)
                ledger.delivered(session.settings, row["sequence"])
        except ServerError as error:
            session.progress.note(f"{error}; it is sent with the next entry")


def require_whole(settings: Settings, found: list[Entry]) -> None:
    """Raise RatchetError if an entry was changed, removed, reordered or forged: nothing is decided by such a ledger."""
    if bad := fault_of(found, (), _by_trusted_keys(), is_own(settings)):
        raise RatchetError(f"ledger: entry {bad.sequence}: {bad.text}; nothing moves before that is cleared up")


def fault(client: "MlflowClient", settings: Settings, found: list[Entry]) -> Fault | None:
    """Return the ledger's first fault, by its own hashes, the trusted keys, and what runs have seen of it."""
    heads = _heads(client, found[0].hash if found else "")
    return fault_of(found, heads, _by_trusted_keys(), is_own(settings))


def is_own(settings: Settings) -> bool:
    """Whether the ledger is one of this machine's own, and not a team's."""
    return settings.database_url.startswith("sqlite:")


def _by_trusted_keys() -> Callable[[Entry], bool] | None:
    """What tells whether an entry is signed by a trusted key; None where there is no such key."""
    trusted = keys.trusted()

    def is_signed(entry: Entry) -> bool:
        return entry.key in trusted and keys.is_signed(trusted[entry.key], entry.signature, entry.hash)

    return is_signed if trusted else None


def _heads(client: "MlflowClient", first: str) -> list[Head]:
    """What the runs that wrote entries say of them: their tags, and the newest ones' objects.

    Those of another ledger (by its first entry's hash) are left out and, where keys are trusted, those that none of
    them signed: everybody who may edit a run can write a tag. first: empty if no entry is left.
    """
    found, newest, trusted = list[Head](), [], keys.trusted().values()

    def note(text: str, place: str) -> None:
        number, digest, signature, whose = [*text.split(), "", "", "", ""][:4]
        is_ours = number.isdigit() and int(number) > 0 and (not first or whose == first)
        if is_ours and (not trusted or any(keys.is_signed(key, signature, digest) for key in trusted)):
            found.append(Head(int(number), digest, place))

    for step in WRITERS:
        runs = records.find(client, f"tags.`{records.STEP}` = '{step}'", MOST_RUNS)
        newest += runs[:MOST_FOLDERS]
        for run in runs:
            note(run.data.tags.get(HEAD, ""), f"run {run.info.run_id}")
    for run in newest:
        for file in client.list_artifacts(run.info.run_id, HEADS):
            seen = records.read_json(client, run.info.run_id, file.path)
            note(seen["head"], f"{file.path} of run {run.info.run_id}")
    return found
