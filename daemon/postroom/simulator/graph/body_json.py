"""Writes a message's body as the client prefers it: text or HTML, sanitised or as it came, with or without quotes."""

from __future__ import annotations

from postroom.simulator.graph.preferences import Preferences
from postroom.simulator.state import Mail, html
from postroom.simulator.state.quoted import unique_html, unique_text


def body_json(mail: Mail, prefer: Preferences, *, unique: bool = False) -> dict[str, str]:
    """Write an itemBody, converted where the mail has the other kind (message-get.md)."""
    kind, content = mail.text()
    if unique:
        content = unique_html(content) if kind == "html" else unique_text(content)
    if prefer.body == "text":
        return {"contentType": "text", "content": html.to_text(content) if kind == "html" else content}
    if kind == "text":
        content = html.from_text(content)
    return {"contentType": "html", "content": content if prefer.unsafe_html else html.sanitise(content)}
