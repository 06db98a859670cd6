"""How pages are written: their templates, their style sheet, and what a browser may do with them."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from ratchet import __version__
from ratchet.serving import forms, shown

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
# same-origin, not no-referrer: with that one a browser would hide from us that a form is our own.
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
           "Cache-Control": "no-store"}  # fmt: skip
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")


class Static(StaticFiles):
    """The style sheet, which is asked for by its digest, and so may be kept for long."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Any, status_code: int = 200
    ) -> Response:
        """Return a file of the folder."""
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer


def templates() -> jinja2.Environment:
    """Return the pages' templates, which escape whatever they are given."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    digest = hashlib.sha256((HERE / "static" / "page.css").read_bytes()).hexdigest()[:12]
    found.globals.update(version=__version__, style=f"static/page.css?{digest}", lang=_lang, word=shown.word)
    found.filters.update(percent=shown.percent, cell=forms.cell)
    return found


def _lang(text: object) -> Markup:
    """Return the attribute that says that a text is Korean, for screen readers and fonts; else nothing."""
    return Markup(' lang="ko"') if HANGUL.search(str(text)) else Markup("")
