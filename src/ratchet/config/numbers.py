"""How people write numbers: the forms of `read.numbers`, and the pattern that a cell of each fits.

The patterns are of the syntax that Python's `re` and DuckDB share.
"""

import re
from typing import Literal, get_args

BLANKS = " \t\u00a0\u2000-\u200a\u202f\u3000"  # also the thin and the unbreakable ones
UNIT = (
    r"(?:[A-Z]{0,2}\$|[€£¥₩₹₽₺฿%％]|USD|EUR|GBP|JPY|CNY|KRW|CHF|INR|AUD|CAD|BRL|SEK|NOK|DKK|PLN|kr|zł|Kč|원|円|元|유로)"
)
SIGN = "[-+−]"
Form = Literal["1,234.56", "1.234,56", "1 234,56", "1 234.56", "1'234.56", "1'234,56"]
FORMS: tuple[str, ...] = get_args(Form)


def marks(form: str) -> tuple[str, str]:
    """Return the class of characters that separates thousands in a form, and its decimal mark."""
    group = {" ": BLANKS, "'": "'’`"}.get(form[1], form[1])
    return f"[{group}]", form[5]


def pattern(form: str) -> str:
    """Return the pattern of a whole cell: digits, a sign before or after them, a unit, brackets for a negative."""
    group, decimal = marks(form)
    digits = f"(?:[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+)(?:[{decimal}][0-9]+)?"
    blank, unit, sign = f"[{BLANKS}]*", f"{UNIT}?", f"{SIGN}?"
    plain = f"{sign}{blank}{unit}{blank}{sign}{blank}{digits}{blank}{unit}{blank}{sign}"
    bracketed = rf"\({blank}{unit}{blank}{digits}{blank}{unit}{blank}\)"
    return f"{blank}(?:{plain}|{bracketed}){blank}"


def number(text: str, form: str) -> float | None:
    """Return the number that a text stands for in a form; None if it is not written so."""
    if not re.fullmatch(pattern(form), text):
        return None
    digits = re.sub(f"[^0-9{marks(form)[1]}]", "", text).replace(marks(form)[1], ".")
    return -float(digits) if re.search(r"[-−(]", text) else float(digits)
