"""Change notifications: what happened in a mailbox, posted to those who subscribed to it.

Sources: change-notifications-delivery-webhooks.md, change-notifications-delivery-notificationurl-validation.md and
change-notifications-lifecycle-events.md.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

from postroom.simulator.state import Event, Mailbox, Subscription, TenantState
from postroom.simulator.state.ids import change_key

VALIDATION_TIME: Final = 10
"""Seconds an endpoint has to answer the handshake; `DELIVERY_TIME` those to take a notification."""
DELIVERY_TIME: Final = 3
_LONGEST_PAUSE = 600.0
_AT_ONCE = 50
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_LARGEST_ANSWER = 4096


class Notifier:
    """Watches the mailboxes of a tenant and tells subscribers what happens in them, one endpoint at a time."""

    def __init__(self, state: TenantState) -> None:
        self._state = state
        self._outbox: dict[str, list[tuple[Subscription, dict[str, Any]]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        state.on_change.append(self._changed)
        state.on_close.append(self.stop)
        state.subscriptions.on_lifecycle.append(self._lifecycle)

    def stop(self) -> None:
        """Give up what is under way."""
        for task in self._tasks.values():
            task.cancel()
        for timer in self._timers.values():
            timer.cancel()

    def may_reach(self, url: str) -> bool:
        """Tell whether notifications may go there: to this machine, and to hosts that were allowed."""
        host = URL(url).host or ""
        return host in _LOOPBACK or host in self._state.subscriptions.allowed_hosts

    async def validate(self, url: str) -> str:
        """Make the handshake with an endpoint; returns what is wrong with it, or nothing."""
        token = f"Validation: Testing client application reachability for subscription Request-Id: {uuid.uuid4()}"
        target = f"{url}{'&' if '?' in url else '?'}validationToken={quote(token, safe='')}"
        try:
            async with (
                _session(VALIDATION_TIME) as session,
                session.post(
                    URL(target, encoded=True),
                    data=b"",
                    headers={"Content-Type": "text/plain; charset=utf-8"},
                    ssl=False,
                ) as answer,
            ):
                body = await answer.content.read(_LARGEST_ANSWER)
        except TimeoutError:
            return "Subscription validation request timed out."
        except (ClientError, OSError, ValueError) as error:
            return f"Subscription validation request failed. {type(error).__name__}."
        if answer.status != 200:  # noqa: PLR2004 - the status the docs ask for
            return f"Subscription validation request failed. The endpoint answered {answer.status}."
        if answer.content_type != "text/plain" or body.decode("utf-8", "replace") != token:
            return "Subscription validation request failed. The endpoint must answer the token as text/plain."
        return ""

    def _changed(self, mailbox: Mailbox) -> None:
        """Take notice of a change, and of mail that will only show later."""
        subscriptions = self._state.subscriptions.about(mailbox)
        if not subscriptions or (loop := _running_loop()) is None:
            return
        now = self._state.now().timestamp()
        self._state.subscriptions.expire(now)
        if mailbox.late and mailbox.id not in self._timers:
            due = min(time for time, _ in mailbox.late)
            self._timers[mailbox.id] = loop.call_later(max(due - now, 0) + 0.01, self._show, mailbox)
        for subscription in subscriptions:
            if subscription.expires > now:
                told = [(subscription, _notification(subscription, event)) for event in subscription.news()]
                self._send(subscription.url, told)

    def _show(self, mailbox: Mailbox) -> None:
        """Let late mail appear, and wait for what is later still."""
        del self._timers[mailbox.id]
        mailbox.arrive()
        self._changed(mailbox)

    def _lifecycle(self, subscription: Subscription, event: str) -> None:
        if subscription.lifecycle_url and _running_loop() is not None:
            self._send(subscription.lifecycle_url, [(subscription, _lifecycle_notification(subscription, event))])

    def _send(self, url: str, told: list[tuple[Subscription, dict[str, Any]]]) -> None:
        if not told:
            return
        self._outbox.setdefault(url, []).extend(told)
        if url not in self._tasks:
            task = self._tasks[url] = asyncio.get_running_loop().create_task(self._drain(url))
            task.add_done_callback(lambda _: self._tasks.pop(url, None))

    async def _drain(self, url: str) -> None:
        """Post what is waiting for an endpoint, several changes at once, until nothing is."""
        async with _session(DELIVERY_TIME) as session:
            while waiting := self._outbox.get(url):
                batch, self._outbox[url] = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
                if await self._delivered(session, url, [body for _, body in batch]):
                    self._state.subscriptions.delivered += len(batch)
                else:
                    self._drop(batch)
            self._outbox.pop(url, None)

    async def _delivered(self, session: ClientSession, url: str, bodies: list[dict[str, Any]]) -> bool:
        """Post until somebody takes it, with longer and longer pauses; tells whether anybody did."""
        pause, spent = self._state.subscriptions.retry_first, 0.0
        while True:
            try:
                async with session.post(URL(url, encoded=True), json={"value": bodies}, ssl=False) as answer:
                    if answer.ok:
                        return True
            except (ClientError, OSError, TimeoutError):
                pass  # the same as an answer that is no success: it is tried again
            if spent + pause > self._state.subscriptions.retry_for:
                return False
            await asyncio.sleep(pause)
            spent, pause = spent + pause, min(pause * 2, _LONGEST_PAUSE)

    def _drop(self, batch: list[tuple[Subscription, dict[str, Any]]]) -> None:
        """Give notifications up, and say so to those who asked to be told."""
        self._state.subscriptions.dropped += len(batch)
        for subscription in {one.id: one for one, body in batch if "lifecycleEvent" not in body}.values():
            self._state.subscriptions.announce(subscription, "missed")


def _session(seconds: float) -> ClientSession:
    return ClientSession(timeout=ClientTimeout(total=seconds), headers={"User-Agent": "PostroomSimulatedTenant/1"})


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _common(subscription: Subscription) -> dict[str, Any]:
    expires = datetime.fromtimestamp(subscription.expires, UTC)
    return {
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": expires.strftime("%Y-%m-%dT%H:%M:%S.%f0Z"),
        "clientState": subscription.client_state,
        "tenantId": subscription.tenant_id,
    }


def _notification(subscription: Subscription, event: Event) -> dict[str, Any]:
    mailbox = subscription.mailbox
    ids = mailbox.ids
    name = (
        ids.immutable(event.item)
        if subscription.immutable
        else ids.message(event.folder.number, event.item, event.entered)
    )
    resource = f"Users/{mailbox.id}/Messages/{name}"
    data = {
        "@odata.type": "#Microsoft.Graph.Message",
        "@odata.id": resource,
        "@odata.etag": f'W/"{change_key(mailbox.id, event.seq)}"',
        "id": name,
    }
    return {**_common(subscription), "changeType": event.kind, "resource": resource, "resourceData": data}


def _lifecycle_notification(subscription: Subscription, event: str) -> dict[str, Any]:
    return {**_common(subscription), "lifecycleEvent": event}
