"""What a family may try: ranges and choices, and how a task narrows them."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ratchet.errors import ConfigError, did_you_mean

FAMILY = "family"


@dataclass(frozen=True)
class Number:
    """A number in [low, high]; on a log scale if `log`."""

    low: float
    high: float
    log: bool = False
    integer: bool = False


@dataclass(frozen=True)
class Choice:
    """One of several options."""

    options: tuple[Any, ...]


Dimension = Number | Choice
Space = Mapping[str, Dimension]


class Ask(Protocol):
    """Who proposes values, such as an Optuna trial."""

    def number(self, name: str, low: float, high: float, log: bool, integer: bool) -> float:
        """Return a number of the range."""
        ...

    def choice(self, name: str, options: Sequence[Any]) -> Any:
        """Return one of the options."""
        ...


def propose(spaces: Mapping[str, Space], ask: Ask) -> tuple[str, dict[str, Any]]:
    """Ask for a family and for its parameters; each family's have names of their own, so that they never mix."""
    family = ask.choice(FAMILY, list(spaces))
    found = {}
    for name, dimension in spaces[family].items():
        if isinstance(dimension, Choice):
            found[name] = ask.choice(f"{family}.{name}", dimension.options)
        else:
            d = dimension
            found[name] = ask.number(f"{family}.{name}", d.low, d.high, d.log, d.integer)
    return family, found


def flat(family: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was proposed under the names by which it was asked for."""
    return {FAMILY: family} | {f"{family}.{name}": value for name, value in params.items()}


def narrow(family: str, space: Space, overrides: Mapping[str, Sequence[Any]]) -> dict[str, Dimension]:
    """Return the space with the overrides of `search.space` put in.

    A number takes [low, high], or one value to fix it; a choice takes a list of options.
    Raises ConfigError for an unknown parameter or values that do not fit.
    """
    narrowed = dict(space)
    for name, values in overrides.items():
        place = f"search.space.{family}.{name}"
        if name not in space:
            known = f"; {family} has {', '.join(space)}" if space else f"; {family} has none"
            raise ConfigError(f"{place}: unknown parameter{did_you_mean(name, space) or known}")
        dimension = space[name]
        if isinstance(dimension, Choice):
            wrong = [value for value in values if value not in dimension.options]
            if wrong or not values:
                fault = f"{wrong[0]!r} is none" if wrong else "the list is empty; name one"
                raise ConfigError(f"{place}: {fault} of {', '.join(map(str, dimension.options))}")
            narrowed[name] = Choice(tuple(values))
            continue
        if not values or not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
            raise ConfigError(f"{place}: a range is [low, high], both numbers, not {list(values)}")
        if dimension.log and min(values) <= 0:
            raise ConfigError(f"{place}: is searched on a log scale, so it has to be above 0, not {min(values)}")
        if dimension.integer and (parts := [value for value in values if not float(value).is_integer()]):
            raise ConfigError(f"{place}: takes whole numbers, not {parts[0]}")
        narrowed[name] = replace(dimension, low=min(values), high=max(values))
    return narrowed


def grid(space: Space, values: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield each combination of the listed values; a parameter without a list stays at the middle of its range."""
    axes = [tuple(values[name]) if name in values else (middle(space[name]),) for name in space]
    for combination in itertools.product(*axes):
        yield dict(zip(space, combination, strict=True))


def middle(dimension: Dimension) -> Any:
    """Return the middle of a range (on its own scale), or the first choice."""
    if isinstance(dimension, Choice):
        return dimension.options[0]
    low, high = dimension.low, dimension.high
    at = math.sqrt(low) * math.sqrt(high) if dimension.log else low / 2 + high / 2
    at = min(max(at, low), high)  # against rounding, which a range of one value would show
    return round(at) if dimension.integer else at


def clipped(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters moved into the space, so that a known-good start suits a narrowed range."""
    found = {}
    for name, dimension in space.items():
        value = params.get(name, middle(dimension))
        if isinstance(dimension, Choice):
            found[name] = value if value in dimension.options else dimension.options[0]
        else:
            found[name] = min(max(value, dimension.low), dimension.high)
            found[name] = int(found[name]) if dimension.integer else float(found[name])
    return found
