"""What rules and handlers may ask about a mail, asked over real HTTP."""

from __future__ import annotations

from support.daemon import MAILBOX, mail

READER = '''
from postroom.plugin import Done, Handler, Options


class Reader(Handler[Options]):
    """Read everything there is."""

    async def handle(self, message, context):
        body = await context.body()
        html = await context.body("html")
        headers = dict(await context.headers())
        files = [(each.name, await each.read()) async for each in context.attachments()]
        async with context.mime() as path:
            mime = path.read_bytes()
        first, second = await context.once("effect"), await context.once("effect")
        await context.state.set("seen", 1 + await context.state.get("seen", 0))
        assert body.content.strip() == "Good day.", body
        assert html.kind == "html"
        assert headers["Subject"] == message.subject
        assert files == [("bill.pdf", b"%PDF-1")]
        assert b"Good day." in mime
        assert (first, second) == (True, False)
        return Done(note=f"read {await context.state.get('seen')}")
'''


async def test_a_handler_reads_text_headers_attachments_and_mime(daemon, tenant, tmp_path):
    (tmp_path / "reader.py").write_text(READER)
    tenant.state.deliver_mime(MAILBOX, mail("bill", bill_pdf=b"%PDF-1"))
    text = f"""
handlers: {{reader: {{use: "./reader.py:Reader", retry: {{attempts: 1}}}}}}
mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{name: all, handle: [reader]}}]}}]
"""
    async with daemon(text) as running:
        await running.until_counts(deliveries_done=1)


async def test_the_whole_mail_is_saved_byte_for_byte(daemon, tenant, tmp_path):
    raw = mail("bill", bill_pdf=bytes(range(256)) * 40)
    tenant.state.deliver_mime(MAILBOX, raw)
    text = f"""
handlers: {{keep: {{use: save_message, with: {{directory: kept}}}}}}
mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{name: all, handle: [keep]}}]}}]
"""
    async with daemon(text) as running:
        await running.until_counts(deliveries_done=1)
    (file,) = (tmp_path / "kept").iterdir()
    assert file.read_bytes() == raw


async def test_rules_may_ask_for_headers_sizes_and_file_names(daemon, tenant):
    automatic = mail("out of office").replace(b"Subject:", b"Auto-Submitted: auto-replied\nSubject:")
    tenant.state.deliver_mime(MAILBOX, automatic)
    tenant.state.deliver_mime(MAILBOX, mail("big", data_bin=bytes(50_000)))
    tenant.state.deliver_mime(MAILBOX, mail("bill", bill_pdf=b"%PDF-1"))
    tenant.state.deliver_mime(MAILBOX, mail("plain"))
    text = f"""
mailboxes:
  - address: {MAILBOX}
    poll: 1s
    start: all
    rules:
      - {{name: robots, when: {{header: {{Auto-Submitted: "auto-*"}}}}, then: {{delete: true}}, stop: true}}
      - {{name: big, when: {{size: ">40kB"}}, then: {{categories: [Big]}}, stop: true}}
      - {{name: bills, when: {{attachment: "*.pdf"}}, then: {{flag: true}}, stop: true}}
"""
    async with daemon(text) as running:
        await running.until_counts(messages=4, actions_done=3)
    messages = tenant.state.mailbox(MAILBOX).messages.values()
    kept = [(each.categories, each.flag["flagStatus"]) for each in messages if each.folder.display_name == "Inbox"]
    assert sorted(kept) == [((), "flagged"), ((), "notFlagged"), (("Big",), "notFlagged")]


async def test_a_subject_that_chokes_a_pattern_is_a_dead_letter_and_stops_nobody(daemon, tenant):
    tenant.state.deliver_mime(MAILBOX, mail("a" * 60 + "b"))
    tenant.state.deliver_mime(MAILBOX, mail("plain"))
    text = f"""
mailboxes:
  - address: {MAILBOX}
    poll: 1s
    start: all
    rules: [{{name: choking, when: {{not: {{subject: "/(a|aa)+$/"}}}}, handle: [log]}}]
"""
    async with daemon(text) as running:
        await running.until_counts(messages=2, deliveries_dead=1, deliveries_done=1)


CARELESS = '''
from postroom.plugin import Done, Handler, Options

KEPT = []


class Careless(Handler[Options]):
    """Begin to read, and leave it at that."""

    async def handle(self, message, context):
        async for file in context.attachments():
            KEPT.append(file.stream())
            await anext(KEPT[-1])
        raise ValueError("in the middle")


class Reader(Handler[Options]):
    """Read the text."""

    async def handle(self, message, context):
        await context.body()
        return Done()
'''


async def test_handlers_that_leave_attachments_half_read_starve_no_other_of_the_mailbox(daemon, tenant, tmp_path):
    (tmp_path / "careless.py").write_text(CARELESS)
    for number in range(4):
        tenant.state.deliver_mime(MAILBOX, mail(f"bill {number}", bill_pdf=bytes(3_000_000)))
    text = f"""
handlers:
  careless: {{use: "./careless.py:Careless", retry: {{attempts: 1}}}}
  reader: {{use: "./careless.py:Reader", timeout: 5s, retry: {{attempts: 1}}}}
mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{name: all, handle: [careless, reader]}}]}}]
"""
    async with daemon(text) as running:
        await running.until_counts(deliveries_done=4, deliveries_dead=4)
