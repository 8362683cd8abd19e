"""One mail, sent once: whatever fails on the way, whenever it is taken up again."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postroom.errors import Forbidden, JournalError, NotFound, Refused, Throttled, Unavailable
from postroom.model import Address, Forward, MoveTo, Reply, Send
from postroom.outgoing import Rate, SendingLimits
from postroom.pipeline.backlog import BUSY_WAIT
from postroom.pipeline.gone import ONCE, GoneOnceError
from postroom.pipeline.letters import tag
from postroom.pipeline.send import Courier
from postroom.ports import BY_LIMIT, ActionTask
from postroom.testing import make_message
from support.drafts import MemoryDrafts
from support.pipeline import MAILBOX, ScriptedMail

LIMITS = SendingLimits(patience=30.0)
REPLY = Reply("Hello {subject}")
DOWN = Unavailable("Down.", status=503)


class Post:
    """A courier with all that it works with."""

    def __init__(self, journal, clock, notes, limits=LIMITS):
        self.journal, self.clock, self.notes, self.limits = journal, clock, notes, limits
        self.mail = ScriptedMail()
        self.drafts = self.mail.drafts = MemoryDrafts()
        self.message = make_message(sender=Address("Anna", "anna@supplier.example"), subject="x", mailbox=MAILBOX)
        self.mail.messages[self.message.id].append(self.message)
        self.courier = Courier(journal=journal, clock=clock, report=notes)

    def task(self, *actions, origin="rule all then", attempt=1, note=""):
        return ActionTask(1, MAILBOX, self.message.id, origin, actions or (REPLY,), attempt, note=note)

    def lose_message(self):
        """Have Graph find it no more."""
        self.mail.messages[self.message.id] = deque([None])

    async def post(self, task=None):
        return await self.courier.post(task or self.task(), self.mail, self.limits)


@pytest.fixture
def post(journal, clock, notes):
    return Post(journal, clock, notes)


async def test_a_mail_is_drafted_remembered_sent_and_said_to_be_sent(post):
    posted = await post.post()
    assert posted.notes == ("reply: sent",)
    assert post.drafts.delivered == [tag(post.task(), 0)]
    assert post.drafts.calls == ["find", "make", "send"]
    assert post.notes.named("sent")[0]["kind"] == "reply"


async def test_what_was_sent_is_not_sent_again_and_asks_nothing_of_graph(post):
    await post.post()
    calls = len(post.drafts.calls)
    assert (await post.post()).notes == ("reply: sent",)
    assert len(post.drafts.calls) == calls


async def test_each_mail_of_a_task_is_one_of_its_own(post):
    task = post.task(REPLY, Forward(("a@b.example",)), Forward(("a@b.example",)), MoveTo("x"))
    assert len((await post.post(task)).notes) == 3
    assert len(set(post.drafts.delivered)) == 3


async def test_a_rules_text_is_filled_in_and_a_handlers_is_not(post):
    await post.post(post.task())
    await post.post(post.task(origin="handler echo"))
    assert [each.text for each in post.drafts.made] == ["Hello x", "Hello {subject}"]


async def test_a_draft_whose_making_was_not_heard_of_is_found_and_not_made_twice(post):
    post.drafts.after["make"].append(DOWN)
    assert (await post.post()).notes == ("reply: sent",)
    assert post.drafts.calls.count("make") == 1


async def test_a_draft_that_nobody_remembers_is_found_by_its_tag(post):
    post.journal.failures["note_send"].append(JournalError("The disk is full."))
    with pytest.raises(JournalError):
        await post.post()
    await post.post()
    assert (post.drafts.calls.count("make"), len(post.drafts.delivered)) == (1, 1)


async def test_of_two_drafts_with_one_tag_one_is_sent_and_the_other_deleted(post):
    post.drafts.items |= {"a": (tag(post.task(), 0), True), "b": (tag(post.task(), 0), True)}
    await post.post()
    assert (len(post.drafts.delivered), len(post.drafts.items)) == (1, 1)


async def test_a_mail_whose_sending_was_not_heard_of_is_looked_at_and_not_sent_twice(post):
    post.drafts.after["send"].append(DOWN)
    assert (await post.post()).notes == ("reply: sent",)
    assert len(post.drafts.delivered) == 1


async def test_a_mail_that_may_be_on_its_way_is_left_alone_for_a_while_and_then_sent(post):
    post.drafts.before["send"].append(DOWN)
    with pytest.raises(Unavailable):
        await post.post()
    held = await post.post()
    assert held.due_at == post.clock.now() + timedelta(seconds=30)
    assert "may be on its way" in held.held
    [said] = post.notes.named("send_held_back")
    assert "may be on its way" in said["reason"]
    assert said["until"] == held.due_at.isoformat()
    assert not post.drafts.delivered
    await post.clock.advance(31)
    assert (await post.post()).notes == ("reply: sent again; the first may have left too",)
    assert post.drafts.calls.count("make") == 1
    assert [each["how"] for each in post.notes.named("sent")] == ["sent again; the first may have left too"]


def test_what_may_be_on_its_way_is_left_alone_for_as_long_as_transport_may_take():
    assert SendingLimits().patience >= 15 * 60


@pytest.mark.parametrize("error", [Throttled("Wait.", status=429), Forbidden("No.", status=401)])
async def test_what_graph_did_not_take_is_sent_without_patience(post, error):
    post.drafts.before["send"].append(error)
    with pytest.raises(type(error)):
        await post.post()
    assert (await post.post()).notes == ("reply: sent",)
    assert (post.drafts.calls.count("make"), len(post.drafts.delivered)) == (1, 1)


async def test_a_throttled_second_try_does_not_make_the_first_forgotten(post):
    post.drafts.before["send"].extend([DOWN, Throttled("Wait.", status=429)])
    with pytest.raises(Unavailable):
        await post.post()
    await post.clock.advance(31)
    with pytest.raises(Throttled):
        await post.post()
    assert (await post.post()).notes == ("reply: sent again; the first may have left too",)


async def test_an_id_that_changed_when_the_mail_was_sent_does_not_make_it_go_out_twice(post):
    post.drafts.after["send"].append(DOWN)
    post.drafts.before["look"].append(DOWN)
    with pytest.raises(Unavailable):
        await post.post()
    [(key, item)] = post.drafts.items.items()
    post.drafts.items = {f"{key}-sent": item}
    assert (await post.post()).notes == ("reply: sent earlier",)
    assert len(post.drafts.delivered) == 1


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("action", [REPLY, Forward(("a@b.example",)), Send(("a@b.example",), "s", "t")])
async def test_of_a_mail_whose_draft_is_gone_without_a_copy_nobody_says_that_it_was_sent(post, action, left):
    task = post.task(action)
    (post.drafts.after if left else post.drafts.before)["send"].append(DOWN)
    post.drafts.before["look"].append(DOWN)
    with pytest.raises(Unavailable):
        await post.post(task)
    post.drafts.items.clear()
    assert (await post.post(task)).due_at is not None
    await post.clock.advance(31)
    posted = await post.post(task)
    assert "unknown whether it left" in (posted.notes[0] if isinstance(action, Reply) else posted.refused)
    assert len(post.drafts.delivered) == left
    assert not post.notes.named("sent")
    assert len(post.notes.named("send_unknown")) == 1


async def test_an_operator_who_knows_that_it_did_not_leave_has_it_sent(post):
    task = post.task(Forward(("a@b.example",)))
    post.drafts.before["send"].append(DOWN)
    with pytest.raises(Unavailable):
        await post.post(task)
    post.drafts.items.clear()
    await post.clock.advance(31)
    assert (await post.post(task)).refused
    await post.courier.give_up(task, post.mail)
    assert (await post.post(task)).notes == ("forward: sent",)


async def test_a_bounce_of_what_was_forwarded_is_not_forwarded(post):
    post.mail.headers_of[post.message.id] = [("Content-Type", "multipart/report; report-type=delivery-status")]
    posted = await post.post(post.task(Forward(("nobody@contoso.example",))))
    assert "delivery report" in posted.refused
    assert not post.drafts.delivered


async def test_what_was_sent_is_found_even_by_a_journal_that_forgot_all_of_it(post):
    post.drafts.items["old"] = (tag(post.task(), 0), False)
    assert (await post.post()).notes == ("reply: sent earlier",)
    assert post.drafts.delivered == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Forbidden("No.", status=403, code="ErrorAccessDenied"), "Grant the app Mail.Send"),
        (Refused("No.", status=400, code="ErrorInvalidRecipients"), "whom it goes to"),
    ],
)
async def test_a_mail_that_graph_will_never_send_is_refused_at_once_and_leaves_no_draft(post, error, words):
    post.drafts.before["send"].append(error)
    posted = await post.post()
    assert words in posted.refused
    assert not post.drafts.items
    assert (await post.post()).notes == ("reply: sent",), "once the cause is mended it can be tried again"


@pytest.mark.parametrize(
    "error", [Forbidden("No.", status=403), Refused("No.", status=400), NotFound("No.", status=404)]
)
async def test_a_refusal_of_what_has_just_gone_out_is_no_refusal(post, error):
    """Between two looks transport picks a draft up, and then it is none that could be sent."""
    post.drafts.after["send"].append(error)
    assert (await post.post()).notes == ("reply: sent",)
    assert len(post.drafts.delivered) == 1


async def test_a_refused_token_is_no_verdict_on_the_mail(post):
    post.drafts.before["send"].append(Forbidden("No.", status=401))
    with pytest.raises(Forbidden):
        await post.post()
    assert post.drafts.items


async def test_giving_up_deletes_the_draft_and_trying_again_makes_a_new_one(post):
    post.drafts.before["send"].append(DOWN)
    with pytest.raises(Unavailable):
        await post.post()
    await post.courier.give_up(post.task(), post.mail)
    assert not post.drafts.items
    await post.post()
    assert len(post.drafts.delivered) == 1


async def test_giving_up_leaves_alone_what_was_sent(post):
    await post.post()
    await post.courier.give_up(post.task(), post.mail)
    assert len(post.drafts.items) == 1


@pytest.mark.parametrize("action", [REPLY, Forward(("a@b.example",)), Send(("a@b.example",), "s", "t")])
async def test_a_mail_about_a_message_that_is_gone_is_not_sent_and_only_an_answer_is_not_missed(post, action):
    post.lose_message()
    posted = await post.post(post.task(action, note=ONCE))
    told = posted.notes[0] if isinstance(action, Reply) else posted.refused
    assert "not sent: the message is gone" in told
    assert bool(posted.refused) == (not isinstance(action, Reply))


@pytest.mark.parametrize("action", [REPLY, Forward(("a@b.example",)), Send(("a@b.example",), "s", "t")])
async def test_a_message_that_was_not_found_once_may_be_there(post, action):
    there = list(post.mail.messages[post.message.id])
    post.lose_message()
    with pytest.raises(GoneOnceError):
        await post.post(post.task(action))
    assert not post.notes.named("not_sent")
    post.mail.messages[post.message.id] = deque(there)
    assert (await post.post(post.task(action, note=ONCE))).notes[0].endswith(": sent")


async def test_a_message_that_goes_while_it_is_answered_is_gone(post):
    post.mail.messages[post.message.id].append(None)
    post.drafts.before["make"].append(NotFound("Gone.", status=404, code="ErrorItemNotFound"))
    with pytest.raises(GoneOnceError):
        await post.post()
    assert (await post.post(post.task(note=ONCE))).notes == ("reply: not sent: the message is gone",)


@pytest.mark.parametrize("is_reserved", [False, True])
async def test_what_was_sent_before_an_older_journal_was_put_back_was_sent_though_the_message_is_gone(
    post, is_reserved
):
    task = post.task(Forward(("a@b.example",)))
    if is_reserved:
        post.drafts.before["make"].append(DOWN)
        with pytest.raises(Unavailable):
            await post.post(task)
    post.drafts.items["sent"] = tag(task, 0), False
    post.lose_message()
    posted = await post.post(task)
    assert (posted.notes, posted.refused) == (("forward: sent earlier",), "")
    assert post.clock.now() - post.drafts.since[-1] >= timedelta(hours=1 if is_reserved else 24 * 30)


async def test_what_comes_of_a_mail_dated_ahead_is_looked_for_from_now_on_back(post):
    ahead = replace(post.message, received_at=post.clock.now() + timedelta(hours=2))
    post.mail.messages[post.message.id] = deque([ahead])
    await post.post()
    assert post.drafts.since == [post.clock.now() - timedelta(hours=1)]


async def test_an_answer_beyond_the_mailboxs_limit_is_not_sent_and_a_forward_waits(journal, clock, notes):
    post = Post(journal, clock, notes, SendingLimits(per_mailbox=Rate(1, 3600.0)))
    await post.post()
    assert "not sent: the mailbox has sent" in (await post.post(post.task(REPLY, origin="other"))).notes[0]
    forward = post.task(Forward(("a@b.example",)), origin="third")
    held = await post.post(forward)
    assert held.due_at == clock.now() + BUSY_WAIT
    assert held.held == f"forward: held back: the mailbox has sent 1 times within 1 h, {BY_LIMIT} (`per_mailbox`)"
    await clock.advance(3601)
    assert (await post.post(forward)).notes == ("forward: sent",)


async def test_a_restart_does_not_forget_whom_it_answered(journal, clock, notes):
    limits = SendingLimits(per_correspondent=Rate(2, 3600.0))
    for number in range(4):
        post = Post(journal, clock, notes, limits)
        await post.post(post.task(origin=f"rule {number} then"))
    assert len(notes.named("sent")) == 2
    assert len(notes.named("not_sent")) == 2


async def test_a_conversation_ends_after_so_many_mails_and_a_forward_that_is_left_out_is_no_secret(
    journal, clock, notes
):
    post = Post(journal, clock, notes, SendingLimits(per_conversation=Rate(2, 86_400.0)))
    post.message = make_message(sender=Address("", "a@b.example"), mailbox=MAILBOX, conversation_id="talk")
    post.mail.messages[post.message.id].append(post.message)
    forward = Forward(("team@contoso.example",))
    results = [await post.post(post.task(forward, origin=f"rule {n} then")) for n in range(3)]
    assert [bool(each.refused) for each in results] == [False, False, True]
    assert "about this conversation" in results[2].refused


STEPS = ["find", "make", "look", "send", "discard"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    trouble=st.lists(
        st.tuples(st.sampled_from(STEPS), st.sampled_from(["before", "after"]), st.integers(0, 3)), max_size=12
    ),
    journal_trouble=st.lists(st.tuples(st.sampled_from(["note_send", "reserve_send"]), st.booleans()), max_size=4),
    number=st.integers(0, 10**9),
)
async def test_whatever_fails_whenever_the_mail_goes_out_once(post, trouble, journal_trouble, number):
    """Before or after its work any step may fail, or the process die; it is taken up again until it is settled."""
    drafts = post.drafts = post.mail.drafts = MemoryDrafts()
    task = post.task(Forward(("a@b.example",)), origin=f"rule {number} {trouble} {journal_trouble}")
    post.limits = SendingLimits(per_conversation=Rate(10**6, 3600.0), per_mailbox=Rate(10**6, 3600.0))
    for step, when, gap in trouble:
        getattr(drafts, when)[step].extend([*[None] * gap, DOWN])
    for method, _ in journal_trouble:
        post.journal.failures[method].append(JournalError("The disk is full."))
    for _ in range(80):
        try:
            posted = await post.post(task)
        except (Unavailable, JournalError, Throttled):
            await post.clock.advance(40)
        else:
            if posted.notes:
                break
            await post.clock.advance(40)
    assert drafts.delivered == [tag(task, 0)]
    assert not [key for key, (_, is_draft) in drafts.items.items() if is_draft]
