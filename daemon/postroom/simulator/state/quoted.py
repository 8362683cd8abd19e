"""Tells what somebody wrote from the earlier mail quoted below it."""

from __future__ import annotations

import re

_TAIL = "</body></html>"
_HTML_MARKS = re.compile(
    r"<(?:"
    r'div[^>]{0,200}\bid="?(?:x_)*(?:divRplyFwdMsg|appendonsend|mail-editor-reference-message-container)'
    r'|div[^>]{0,200}\bclass="?(?:x_)*(?:gmail_quote|yahoo_quoted|moz-cite-prefix)'
    r'|blockquote[^>]{0,200}\btype="?cite|blockquote[^>]{0,200}\bcite='
    r"|div[^>]{0,200}border-top: ?solid #(?:E1E1E1|B5C4DF)"
    r'|hr[^>]{0,200}\btabindex="?-1'
    r")",
    re.IGNORECASE,
)
_TEXT_MARKS = re.compile(
    r"^(?:-{2,} ?Original Message ?-{2,}|_{20,}[ \t]*\r?\nFrom: |On [^\r\n]{4,200} wrote:[ \t]*\r?$"
    r"|From: [^\r\n]{1,200}\r?\nSent: |>)",
    re.IGNORECASE | re.MULTILINE,
)


def unique_html(source: str) -> str:
    """Return HTML up to where the programs people use begin to quote: Outlook, Gmail, Yahoo, Apple, Thunderbird."""
    match = _HTML_MARKS.search(source)
    if match is None:
        return source
    kept = source[: match.start()].rstrip()
    return kept + _TAIL if "<body" in kept.lower() else kept


def unique_text(source: str) -> str:
    """Return text up to its first quoted line or the line that introduces a quotation."""
    match = _TEXT_MARKS.search(source)
    return source if match is None else source[: match.start()].rstrip() + "\r\n"
