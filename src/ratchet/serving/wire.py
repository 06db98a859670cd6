"""JSON as it is sent."""

import json
from typing import Any

import orjson


def dumped(value: Any) -> bytes:
    """Return the JSON of a value; half an emoji and numbers beyond 64 bits too, which the fast writer refuses."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()
