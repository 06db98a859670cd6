"""Whether Production is empty because its version was withdrawn, as the gateway has to know it."""

from ratchet.adapters import ledger
from ratchet.core import history
from ratchet.errors import told
from ratchet.operate import modelservers
from ratchet.serving.routes import Backend, Withdrawn
from ratchet.steps import chronicle
from ratchet.steps.session import Session


class VacancyWatch:
    """Asks the ledger why nothing is in Production; again only once it has a new entry."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._ledger_seen = -1  # its newest entry when it did not say why

    def withdrawn(self, last: Backend | None) -> Withdrawn | None:
        """Return the version by whose withdrawal Production is empty.

        A version that only the registry shows to be gone, as after a click in MLflow's UI, is not withdrawn.

        Args:
            last: The version that answers at the moment, if any.

        Raises:
            ServerError: The ledger cannot be read now.
        """
        newest = ledger.newest(self.session.settings)
        if newest == self._ledger_seen:
            return None
        entry = history.vacancy(chronicle.entries(self.session), count_begun=True)
        if entry is None:
            self._ledger_seen = newest
            return None
        number = entry.change.version
        known = last if last and last.version == number else self._described(number)
        return Withdrawn(number, f"{entry.at[:19]}Z", known)

    def _described(self, number: int) -> Backend | None:
        """Return the version as its model describes it; None where that cannot be had."""
        try:
            return modelservers.described(self.session, number)
        except Exception as error:  # noqa: BLE001  (callers are told that it was withdrawn, whatever is wrong with it)
            self.session.progress.note(f"version {number}, which was withdrawn: {told(error) or repr(error)}")
            return None
