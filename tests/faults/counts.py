"""How often a fault is tried: few times in the suite, as often as the issue asks under `make faults`."""

import os

FULL = bool(os.environ.get("RATCHET_FAULTS"))


def times(few: int, many: int) -> int:
    """Return `many` under `make faults`, else `few`."""
    return many if FULL else few
