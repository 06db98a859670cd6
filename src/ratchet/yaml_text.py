"""The YAML of a task as plain values, strictly; what cannot be read is told with its mend."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ratchet.yaml_mend import find_mend, in_typographic_quotes

MAX_BITS = 64  # of a whole number; Python itself refuses to print one of more than 4,300 digits


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a key that stands twice and an alias (how a YAML bomb grows).

    It refuses as well what YAML reads and nobody means: quotes of prose around a value, and a text cut off at a #.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.style is None:
            _refuse_misread(node)
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError):  # what PyYAML lets out for 2024-13-45 or !!bool x
            value = None
        else:
            if not isinstance(value, int) or value.bit_length() <= MAX_BITS:
                return value
        kind = node.tag.rpartition(":")[2]
        raise yaml.constructor.ConstructorError(
            None, None, f"{str(node.value)[:40]!r} cannot be read as {kind}; is it a text? write it in quotes",
            node.start_mark,
        )  # fmt: skip

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases (*name) are not used here", mark)
        return super().compose_node(parent, index)


def _refuse_misread(node: yaml.ScalarNode) -> None:
    """Raise ConstructorError for a value without quotes that YAML reads otherwise than it was meant."""
    fault = ""
    if node.value.startswith(("\u00a0", "\u3000")):
        fault = "a blank that is not the space bar's stands before it"
    elif in_typographic_quotes(node.value):
        fault = f"{node.value[:40]} stands in quotes of prose, which YAML takes for a part of it"
    elif " " in node.value and _cut_at(node.end_mark):
        fault = "the text ends where # begins a comment; if that is one, write a blank after #, else"
    if fault:
        raise yaml.constructor.ConstructorError(None, None, fault, node.start_mark)


def _cut_at(end: Any) -> bool:
    """Whether the value that ends at a mark is followed by a # with something right behind it."""
    return bool(re.match(r"[ \t]+#[^\s#]", end.buffer[end.pointer : end.pointer + 100]))


def parse_yaml(text: str) -> Any:
    """Return what a YAML text holds.

    Raises:
        yaml.YAMLError: If it is not YAML, or holds what a task may not; see `describe_yaml_error`.
        ValueError, OverflowError, RecursionError: If the parser itself gives up.
    """
    return yaml.load(text, Loader=_Loader)


def describe_yaml_error(path: Path, text: str, error: yaml.YAMLError) -> str:
    """Return the error as one line that says where, and how the line should be written."""
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    marks = [getattr(error, name, None) for name in ("problem_mark", "context_mark")]
    lines = [mark.line for mark in marks if mark]
    if not lines:
        return f"{path}: not YAML: {problem}"
    rows = text.split("\n")
    before = [max((i for i in range(min(line, len(rows))) if rows[i].strip()), default=0) for line in lines]
    mend = find_mend(text, [*lines, *before], _error_line)
    place, how = mend or (lines[0], "")
    problem = problem.removesuffix(" write it in quotes") if mend else problem  # it is shown in quotes
    joint = " " if problem.endswith(("else", "text?")) else "; "
    return f"{path}:{place + 1}: not YAML: {problem}{joint if how else ''}{how}"


def _error_line(text: str) -> int | None:
    """Return the line of the first error in a text, counted from 0; None if it can be read."""
    try:
        parse_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return mark.line if mark else 0
    except (ValueError, OverflowError, RecursionError):
        return 0
    return None
