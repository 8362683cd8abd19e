"""What makes a meeting message an eventMessage: its type, and the properties of its invitation (CSDL)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from postroom.simulator.state.calendar import Invitation, Moment, read_invitation

if TYPE_CHECKING:
    from postroom.simulator.graph.message_json import View

_TYPES = {
    "REQUEST": "#microsoft.graph.eventMessageRequest",
    "REPLY": "#microsoft.graph.eventMessageResponse",
    "CANCEL": "#microsoft.graph.eventMessage",
}
_ANSWERS = {"ACCEPTED": "meetingAccepted", "TENTATIVE": "meetingTenativelyAccepted", "DECLINED": "meetingDeclined"}
"""Graph's own spelling of the second is without the second ``t``."""
_RESPONSES = {"ACCEPTED": "accepted", "TENTATIVE": "tentativelyAccepted", "DECLINED": "declined"}


def _moment(moment: Moment | None) -> dict[str, str] | None:
    return None if moment is None else {"dateTime": moment.text, "timeZone": moment.zone}


def _kind(view: View, invitation: Invitation) -> str:
    if view.message.meeting == "REPLY":
        return _ANSWERS.get(invitation.answers, "none")
    return "meetingCancelled" if view.message.meeting == "CANCEL" else "meetingRequest"


_COMMON: dict[str, Callable[[View, Invitation], Any]] = {
    "meetingMessageType": _kind,
    "type": lambda _view, _invitation: "singleInstance",
    "isOutOfDate": lambda _view, _invitation: False,
    "isAllDay": lambda _view, invitation: invitation.all_day,
    "isDelegated": lambda _view, _invitation: False,
    "startDateTime": lambda _view, invitation: _moment(invitation.start),
    "endDateTime": lambda _view, invitation: _moment(invitation.end),
    "location": lambda _view, invitation: {
        "displayName": invitation.location,
        "locationType": "default",
        "uniqueIdType": "unknown",
    },
    "recurrence": lambda _view, _invitation: None,
}
_REQUEST: dict[str, Callable[[View, Invitation], Any]] = {
    "previousLocation": lambda _view, _invitation: None,
    "previousStartDateTime": lambda _view, _invitation: None,
    "previousEndDateTime": lambda _view, _invitation: None,
    "responseRequested": lambda _view, _invitation: True,
    "allowNewTimeProposals": lambda _view, _invitation: True,
    "meetingRequestType": lambda _view, _invitation: "newMeetingRequest",
}
_RESPONSE: dict[str, Callable[[View, Invitation], Any]] = {
    "responseType": lambda _view, invitation: _RESPONSES.get(invitation.answers, "none"),
    "proposedNewTime": lambda _view, _invitation: None,
}
_BY_METHOD = {"REQUEST": _COMMON | _REQUEST, "REPLY": _COMMON | _RESPONSE, "CANCEL": _COMMON}
CAST = "microsoft.graph.eventMessage/"
SELECTABLE = frozenset(
    f"microsoft.graph.{kind}/{name}"
    for kind, names in (
        ("eventMessage", _COMMON),
        ("eventMessageRequest", _COMMON | _REQUEST),
        ("eventMessageResponse", _COMMON | _RESPONSE),
    )
    for name in names
)
"""How ``$select`` names what only a meeting message has."""


def event_json(view: View, select: tuple[str, ...]) -> dict[str, Any]:
    """Write the type of a message and, of an eventMessage, what its invitation says; nothing for ordinary mail."""
    method = view.message.meeting
    if not method:
        return {}
    properties = _BY_METHOD[method]
    wanted = [name for one in select if (name := one.rpartition("/")[2]) in properties] if select else [*properties]
    body: dict[str, Any] = {"@odata.type": _TYPES[method]}
    if wanted:
        invitation = read_invitation(view.mail.calendar())
        body |= {name: properties[name](view, invitation) for name in wanted}
    return body
