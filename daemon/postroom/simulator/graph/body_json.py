"""Writes a message's body as the client prefers it: text or HTML, sanitised or as it came."""

from __future__ import annotations

from postroom.simulator.graph.preferences import Preferences
from postroom.simulator.state import Envelope, Mailbox, StoredMessage, html


def body_json(mailbox: Mailbox, message: StoredMessage, envelope: Envelope, prefer: Preferences) -> dict[str, str]:
    """Write an itemBody, converted where the mail has the other kind (message-get.md)."""
    kind, content = mailbox.contents.text(message, envelope)
    if prefer.body == "text":
        return {"contentType": "text", "content": html.to_text(content) if kind == "html" else content}
    if kind == "text":
        content = html.from_text(content)
    return {"contentType": "html", "content": content if prefer.unsafe_html else html.sanitise(content)}
