"""Mail actions that send, through the whole daemon: what arrives, what is not answered, what nobody may send."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest

from postroom.simulator.effects import Reset
from postroom.simulator.faults import Fault
from postroom.simulator.server import SimulatedTenant
from support.daemon import MAILBOX, load_config, mail, run_daemon, write_config

ANNA = "anna@contoso.example"
ARCHIVE = "archive@contoso.example"
OUTSIDE = "anna@supplier.example"


@pytest.fixture
async def tenant(tmp_path, record):
    """A simulated tenant with three mailboxes, one of them watched."""
    (tmp_path / "tenant").mkdir()
    addresses = [MAILBOX, ANNA, ARCHIVE]
    async with SimulatedTenant(tmp_path / "tenant", mailboxes=addresses, record=record.append) as running:
        yield running


def rules(*texts, extra=""):
    listed = "\n".join(f"      - {each}" for each in texts)
    return f"""
{extra}
mailboxes:
  - address: {MAILBOX}
    poll: 1s
    start: all
    rules:
{listed}
"""


def inbox(tenant, address):
    """The mails in somebody's inbox, parsed."""
    mailbox = tenant.state.mailbox(address)
    raws = [mailbox.contents.raw(each) for each in mailbox.folder("inbox").messages]
    return [message_from_bytes(each, policy=policy.default) for each in raws]


def drafts(tenant):
    return tenant.state.mailbox(MAILBOX).folder("drafts").messages


async def actions(daemon):
    def read(connection):
        return connection.exec_driver_sql("select state, note, error from actions order by id").all()

    return [tuple(row) for row in await daemon.app.journal.database.read(read)]


async def test_an_answer_goes_to_who_wrote_the_mail_as_text_and_says_that_a_machine_wrote_it(daemon, tenant):
    tenant.deliver(MAILBOX, mail("Order 7 <b>", sender=f"Anna <{ANNA}>"))
    rule = '{name: all, then: {reply: "Dear {sender}, about {subject}: {{thanks}}.", mark_read: true}}'
    async with daemon(rules(rule)) as running:
        await running.until_counts(actions_done=1)
        assert (await actions(running))[0][1] == "reply: sent, marked read"
    [answer] = inbox(tenant, ANNA)
    assert answer["Subject"] == "RE: Order 7 <b>"
    assert answer.get_content().strip() == "Dear Anna, about Order 7 <b>: {thanks}."
    assert answer.get_content_type() == "text/plain"
    assert answer["X-Auto-Response-Suppress"] == "All"
    assert answer["X-Postroom-Tag"]
    assert answer["In-Reply-To"]
    assert not drafts(tenant)


async def test_a_forward_takes_the_attachments_along(daemon, tenant):
    tenant.deliver(MAILBOX, mail("Invoice", bill_pdf=b"%PDF bill"))
    rule = f'{{name: all, then: {{forward: {{to: [{ARCHIVE}], comment: "From {{sender_address}} <script>"}}}}}}'
    async with daemon(rules(rule)) as running:
        await running.until_counts(actions_done=1)
    [forward] = inbox(tenant, ARCHIVE)
    assert [each.get_content() for each in forward.iter_attachments()] == [b"%PDF bill"]
    text = forward.get_body(("html", "plain")).get_content()
    assert OUTSIDE in text
    assert "<script>" not in text


async def test_a_new_mail_goes_to_everybody_named(daemon, tenant):
    tenant.deliver(MAILBOX, mail("Outage"))
    send = f'{{to: [{ANNA}, {OUTSIDE}], cc: {ARCHIVE}, subject: "Seen: {{subject}}", text: "At {{received_at}}"}}'
    async with daemon(rules(f"{{name: all, then: {{send: {send}, delete: true}}}}")) as running:
        await running.until_counts(actions_done=1)
    [note] = inbox(tenant, ANNA)
    assert note["Subject"] == "Seen: Outage"
    assert sorted(each.recipient for each in tenant.state.outbox) == sorted([ANNA, ARCHIVE, OUTSIDE])


async def test_a_handler_can_ask_for_an_answer_and_its_braces_are_its_own(daemon, tenant, tmp_path):
    (tmp_path / "answering.py").write_text('''
from postroom.plugin import Context, Done, Handler, Message, Options, Reply


class Answering(Handler[Options]):
    """Answer."""

    async def handle(self, message: Message, context: Context):
        return Done(actions=(Reply(f"{{subject}} of {message.subject}"),))
''')
    tenant.deliver(MAILBOX, mail("mine", sender=ANNA))
    extra = 'handlers: {answering: {use: "./answering.py:Answering"}}'
    async with daemon(rules("{name: all, handle: answering}", extra=extra)) as running:
        await running.until_counts(actions_done=1)
    assert inbox(tenant, ANNA)[0].get_content().strip() == "{subject} of mine"


async def test_a_machine_is_not_answered_and_the_action_says_why(daemon, tenant):
    raw = mail("Out of office", sender=ANNA).replace(b"\n\n", b"\nAuto-Submitted: auto-replied\n\n", 1)
    tenant.deliver(MAILBOX, raw)
    async with daemon(rules('{name: all, then: {reply: "Hello", mark_read: true}}')) as running:
        await running.until_counts(actions_done=1)
        [(_, note, _)] = await actions(running)
    assert note == "reply: not sent: the mail was written by a machine (Auto-Submitted), marked read"
    assert '"event":"not_sent"' in running.log.getvalue()
    assert not tenant.state.outbox


async def test_two_mailboxes_that_answer_everything_exchange_one_mail_each(daemon, tenant):
    other = f"""
  - address: {ANNA}
    poll: 1s
    start: all
    rules: [{{name: all, then: {{reply: "And hello to you"}}}}]
"""
    tenant.deliver(MAILBOX, mail("hello", sender=ANNA))
    async with daemon(rules('{name: all, then: {reply: "Hello"}}') + other) as running:
        await running.until_counts(actions_done=2)
    assert [each.recipient for each in tenant.state.outbox] == [ANNA]


async def test_a_storm_from_one_sender_gets_as_many_answers_as_are_allowed(daemon, tenant):
    for number in range(12):
        tenant.deliver(MAILBOX, mail(f"storm {number}", sender=ANNA))
    text = rules('{name: all, then: {reply: "Hello"}}', extra="sending: {per_correspondent: 3/h}")
    async with daemon(text) as running:
        await running.until_counts(actions_done=12)
        notes = [note for _, note, _ in await actions(running)]
    assert len(inbox(tenant, ANNA)) == 3
    assert notes.count("reply: sent") == 3
    assert sum("not sent: this correspondent was answered 3 times within 1 h" in note for note in notes) == 9


class LostAnswer(Reset):
    """Graph does what it was asked, and nobody hears of it."""

    async def apply(self, request, handler):
        """Serve the request, then break the connection."""
        await handler(request)
        return await super().apply(request, handler)


@pytest.mark.parametrize("path", ["*/createReply", "*/send"])
async def test_an_answer_of_graph_that_is_lost_makes_no_second_mail_and_no_second_draft(daemon, tenant, path):
    tenant.faults.add(Fault(LostAnswer(), path=path, method="POST"))
    tenant.deliver(MAILBOX, mail("hello", sender=ANNA))
    async with daemon(rules('{name: all, then: {reply: "Hello"}}')) as running:
        await running.until_counts(actions_done=1)
    assert len(tenant.faults.injected) == 1
    assert len(inbox(tenant, ANNA)) == 1
    assert not drafts(tenant)


async def test_without_the_right_to_send_the_action_is_dead_with_the_remedy_and_leaves_no_draft(tmp_path, record):
    (tmp_path / "tenant").mkdir()
    async with SimulatedTenant(
        tmp_path / "tenant", mailboxes=[MAILBOX], record=record.append, roles=["Mail.ReadWrite"]
    ) as tenant:
        tenant.deliver(MAILBOX, mail("hello", sender=ANNA))
        config = load_config(
            write_config(tmp_path / "postroom.yaml", tenant, rules('{name: all, then: {reply: "Hello"}}'))
        )
        async with run_daemon(config) as running:
            await running.until_counts(actions_dead=1)
            [(_, _, error)] = await actions(running)
        assert "Grant the app Mail.Send" in error
        assert not drafts(tenant)
        assert not tenant.state.outbox
