"""Graph clients that others wrote work against the simulated tenant as they come, over HTTPS, and cannot tell."""

import email
import email.policy

import pytest

from postroom.simulator.effects import GraphAnswer
from postroom.simulator.faults import Fault

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def refused(refusal):
    """Expect that Graph refuses, by status and code."""

    def expect(status, code):
        return pytest.raises(refusal, match=f"^{status} {code}$")

    return expect


@pytest.fixture
def weather(desk):
    """The faults of the tenant, for this test's mailbox alone."""
    yield lambda effect, **rule: desk.tenant.faults.add(Fault(effect, path=f"*/users/{desk.address}/*", **rule))
    desk.tenant.faults.clear()


async def test_folders_are_listed_page_by_page_with_those_below_them(desk):
    for name in ("Suppliers", "Suppliers/Ada", "Öl & Gas"):
        desk.mailbox.create_folder(name)
    desk.mailbox.create_folder("Paid", desk.mailbox.folder("inbox"))
    found = await desk.ask("folders")
    assert {"Inbox", "Drafts", "Sent Items", "Deleted Items", "Suppliers", "Suppliers/Ada", "Öl & Gas"} <= {
        *found["names"]
    }
    assert found["children"] == {"Inbox": ["Paid"]}


async def test_a_round_brings_every_mail_once_and_the_next_only_what_changed(desk):
    mails = [desk.deliver(f"mail {number}") for number in range(5)]
    first = await desk.ask("round", link=None)
    assert sorted(entry["subject"] for entry in first["entries"]) == [f"mail {number}" for number in range(5)]
    assert {entry["id"] for entry in first["entries"]} == {desk.id_of(mail) for mail in mails}
    assert first["pages"] >= 3
    quiet = await desk.ask("round", link=first["link"])
    assert quiet["entries"] == []
    new = desk.deliver("new")
    desk.mailbox.update(mails[1], is_read=True)
    desk.mailbox.move(mails[2], desk.mailbox.folder("archive"))
    desk.mailbox.delete(mails[3])
    third = await desk.ask("round", link=quiet["link"])
    changes = {entry["id"]: (entry["removed"], entry["read"]) for entry in third["entries"]}
    assert changes.pop(desk.id_of(new))[0] is False
    assert changes.pop(desk.id_of(mails[1])) == (False, True)
    assert {changes.pop(desk.id_of(mails[at]))[0] for at in (2, 3)} == {True}
    assert changes == {}
    assert (await desk.ask("round", link=third["link"]))["entries"] == []


async def test_a_link_that_the_service_forgot_is_refused_as_gone(desk, refused):
    desk.deliver("mail")
    link = (await desk.ask("round", link=None))["link"]
    desk.mailbox.reset_delta("inbox")
    with refused(410, "(SyncStateNotFound|SyncStateInvalid|ResyncRequired)"):
        await desk.ask("round", link=link)


async def test_a_listing_is_sorted_counted_and_walked_to_its_end(desk):
    for number in range(5):
        desk.deliver(f"mail {number}")
    found = await desk.ask("listing", unread=False)
    assert sorted(found["subjects"]) == [f"mail {number}" for number in range(5)]
    assert found.get("count", 5) == 5


async def test_a_filtered_listing_brings_what_the_filter_means(desk):
    mails = [desk.deliver(f"mail {number}") for number in range(4)]
    desk.mailbox.update(mails[0], is_read=True)
    found = await desk.ask("listing", unread=True)
    assert sorted(found["subjects"]) == ["mail 1", "mail 2", "mail 3"]


async def test_a_mail_is_read_with_its_body(desk):
    mail = desk.deliver("Grüße")
    found = await desk.ask("read", key=desk.id_of(mail))
    assert found["subject"] == "Grüße"
    assert "Good day, this is Grüße." in found["body"]
    assert (found["from"], found["to"]) == ("anna@supplier.example", [desk.address])
    assert found["folder"] == desk.mailbox.folder("inbox").id
    assert found["draft"] is False


async def test_attachments_come_whole_by_kind_and_name(desk):
    inner = desk.deliver("inner")
    outer = email.message_from_bytes(desk.mailbox.contents.raw(inner), policy=email.policy.default)
    mail = desk.deliver("outer", bill_txt="Pay 3 €.", note_txt="x" * 5000, forwarded=outer)
    found = {each["name"]: each for each in await desk.ask("attachments", key=desk.id_of(mail))}
    assert found["bill.txt"]["content"].strip() == "Pay 3 €."
    assert found["note.txt"]["content"].strip() == "x" * 5000
    assert found["bill.txt"]["kind"] == "#microsoft.graph.fileAttachment"
    assert found["forwarded"]["kind"] == "#microsoft.graph.itemAttachment"


async def test_mime_comes_as_a_mail_reader_can_read_it(desk):
    mail = desk.deliver("bill", bill_txt="Pay.")
    read = email.message_from_string(await desk.ask("mime", key=desk.id_of(mail)), policy=email.policy.default)
    assert read["Subject"] == "bill"
    assert [part.get_content().strip() for part in read.iter_attachments()] == ["Pay."]


async def test_a_mail_moves_to_a_folder_and_keeps_its_id(desk):
    mail, paid = desk.deliver("bill"), desk.mailbox.create_folder("Paid")
    moved = await desk.ask("move", key=desk.id_of(mail), folder=paid.id)
    assert moved == {"id": desk.id_of(mail), "folder": paid.id}
    assert desk.messages("inbox") == []


async def test_a_mail_moves_to_a_folder_by_its_well_known_name(desk):
    mail = desk.deliver("bill")
    moved = await desk.ask("move", key=desk.id_of(mail), folder="archive")
    assert moved["folder"] == desk.mailbox.folder("archive").id


async def test_a_mail_is_marked_read_and_put_into_categories(desk):
    mail = desk.deliver("bill")
    changed = await desk.ask("update", key=desk.id_of(mail), categories=["Paid", "Blue category"])
    assert changed == {"read": True, "categories": ["Paid", "Blue category"]}
    assert (mail.is_read, mail.categories) == (True, ("Paid", "Blue category"))


async def test_a_reply_reaches_whom_it_answers_and_is_kept(desk):
    mail = desk.tenant.deliver(desk.address, f"From: {desk.colleague.address}\nSubject: ask\n\nWhen?\n".encode())
    await desk.ask("reply", key=desk.id_of(mail), text="Today.")
    assert desk.subjects("sentitems") == ["RE: ask"]
    (answer,) = [each for each in desk.colleague.by_time() if desk.sender(each) == desk.address]
    assert "Today." in desk.colleague.contents.mail(answer).text().content


async def test_a_mail_is_sent_with_a_file_and_a_header_and_kept(desk):
    await desk.ask(
        "send", to=desk.colleague.address, subject=f"hello of {desk.address}", text="<p>Hi</p>", file="Note ü"
    )
    assert desk.subjects("sentitems") == [f"hello of {desk.address}"]
    (arrived,) = [each for each in desk.colleague.by_time() if desk.sender(each) == desk.address]
    read = email.message_from_bytes(desk.colleague.contents.raw(arrived), policy=email.policy.default)
    assert read["x-made-by"] == "test"
    assert [part.get_filename() for part in read.iter_attachments()] == ["note.txt"]
    assert [part.get_payload(decode=True).decode() for part in read.iter_attachments()] == ["Note ü"]


async def test_a_large_file_goes_up_in_pieces_and_out_with_its_draft(desk):
    size = 4 * 1024 * 1024 + 17
    await desk.ask("draft_with_large_file", to=desk.colleague.address, subject="large", size=size)
    assert desk.subjects("drafts") == []
    (arrived,) = [each for each in desk.colleague.by_time() if desk.sender(each) == desk.address]
    read = email.message_from_bytes(desk.colleague.contents.raw(arrived), policy=email.policy.default)
    assert [len(part.get_content()) for part in read.iter_attachments()] == [size]


async def test_a_batch_answers_each_part_for_itself(desk):
    if desk.name == "O365":
        pytest.skip("The package knows no batches.")
    mail = desk.deliver("bill")
    gone = desk.deliver("gone")
    desk.mailbox.purge(gone)
    assert await desk.ask("batch", keys=[desk.id_of(mail), desk.id_of(gone)]) == [200, 404]


async def test_a_deleted_mail_is_gone_from_its_folder(desk, refused):
    mail = desk.deliver("bill")
    await desk.ask("delete", key=desk.id_of(mail))
    assert desk.messages("inbox") == []


async def test_a_mail_that_is_not_there_is_an_error_404(desk, refused):
    gone = desk.deliver("gone")
    desk.mailbox.purge(gone)
    with refused(404, "ErrorItemNotFound"):
        await desk.ask("read", key=desk.id_of(gone))


async def test_an_id_that_is_none_is_an_error_400(desk, refused):
    with refused(400, "ErrorInvalidIdMalformed"):
        await desk.ask("read", key="nonsense")


async def test_a_mailbox_outside_the_scope_of_the_app_is_an_error_403(desk, refused):
    mail = desk.deliver("bill")
    desk.tenant.app.mailboxes = frozenset({desk.colleague.address})
    try:
        with refused(403, "ErrorAccessDenied"):
            await desk.ask("read", key=desk.id_of(mail))
    finally:
        desk.tenant.app.mailboxes = None


async def test_a_throttled_request_succeeds_after_the_wait_it_was_told(desk, weather):
    mail = desk.deliver("bill")
    fault = weather(GraphAnswer(429, "ApplicationThrottled", retry_after=1), count=1)
    assert (await desk.ask("read", key=desk.id_of(mail)))["subject"] == "bill"
    assert fault.count == 0
