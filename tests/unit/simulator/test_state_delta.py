"""Whoever follows a delta chain arrives at what the folder holds, whatever happens meanwhile."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from postroom.simulator.state import (
    DeltaQuery,
    Removed,
    SyncStateInvalid,
    TenantState,
    begin,
    next_page,
    read_token,
    write_token,
)

FOLDERS = ("inbox", "archive", "deleteditems")


class Follower:
    """Keeps the set of ids a client would, by one kind of id."""

    def __init__(self, mailbox, folder, *, immutable, query):
        self.mailbox, self.folder, self.immutable = mailbox, folder, immutable
        self.ids = set()
        self.cursor = begin(mailbox, folder, query)

    def page(self, size):
        """Take in a page; tells whether the round ended."""
        cursor = read_token(self.mailbox, self.folder, write_token(self.mailbox, self.cursor))
        page = next_page(self.mailbox, self.folder, cursor, size)
        assert len(page.entries) <= size
        for entry in page.entries:
            self._take(entry)
        self.cursor = page.cursor
        return page.done

    def _take(self, entry):
        if not isinstance(entry, Removed):
            self.ids.add(self._id(entry))
        elif not self.immutable:
            self.ids.discard(self.mailbox.ids.message(self.folder.number, entry.item, entry.entered))
        elif (message := self.mailbox.find(entry.item)) is None or message.folder is not self.folder:
            self.ids.discard(self.mailbox.ids.immutable(entry.item))

    def _id(self, message):
        return self.mailbox.immutable_id(message) if self.immutable else self.mailbox.default_id(message)

    def finish(self):
        """End the round under way, and make one more."""
        for _ in range(2):
            while not self.page(3):
                pass

    def truth(self):
        return {self._id(message) for message in self.folder.messages}


class Interleaving(RuleBasedStateMachine):
    """Mail comes, moves, changes and goes while four clients read pages of any size."""

    directory = None
    counter = itertools.count()

    def __init__(self):
        super().__init__()
        self.state = TenantState(self.directory / str(next(self.counter)), lambda: datetime(2026, 3, 1, tzinfo=UTC))
        self.mailbox = self.state.add_mailbox("ann@contoso.example")
        inbox = self.mailbox.folder("inbox")
        self.followers = [
            Follower(self.mailbox, inbox, immutable=immutable, query=DeltaQuery(newest_first=newest))
            for immutable in (True, False)
            for newest in (True, False)
        ]

    def teardown(self):
        for follower in self.followers:
            follower.finish()
            assert follower.ids == follower.truth()
        self.state.close()

    def _messages(self):
        return list(self.mailbox.messages.values())

    @rule(folder=st.sampled_from(FOLDERS), minute=st.integers(0, 5))
    def deliver(self, folder, minute):
        received = datetime(2026, 3, 1, 0, minute, tzinfo=UTC)
        self.state.deliver_mime("ann@contoso.example", b"Subject: x\r\n\r\n", folder=folder, received_at=received)

    @precondition(lambda self: self.mailbox.messages)
    @rule(data=st.data(), folder=st.sampled_from(FOLDERS))
    def move(self, data, folder):
        self.mailbox.move(data.draw(st.sampled_from(self._messages())), self.mailbox.folder(folder))

    @precondition(lambda self: self.mailbox.messages)
    @rule(data=st.data(), folder=st.sampled_from(FOLDERS))
    def copy(self, data, folder):
        self.mailbox.copy(data.draw(st.sampled_from(self._messages())), self.mailbox.folder(folder))

    @precondition(lambda self: self.mailbox.messages)
    @rule(data=st.data(), read=st.booleans())
    def patch(self, data, read):
        self.mailbox.update(data.draw(st.sampled_from(self._messages())), is_read=read)

    @precondition(lambda self: self.mailbox.messages)
    @rule(data=st.data())
    def delete(self, data):
        self.mailbox.delete(data.draw(st.sampled_from(self._messages())))

    @rule(which=st.integers(0, 3), size=st.integers(1, 4))
    def read(self, which, size):
        self.followers[which].page(size)

    @rule(which=st.integers(0, 3))
    def read_a_round(self, which):
        self.followers[which].finish()
        assert self.followers[which].ids == self.followers[which].truth()

    @invariant()
    def counts_hold(self):
        for folder in self.mailbox.folders:
            inside = [one for one in self._messages() if one.folder is folder]
            assert sorted(one.order for one in inside) == [one.order for one in folder.messages]
            assert folder.unread == sum(not one.is_read for one in inside)


def test_any_interleaving_lets_a_follower_arrive_at_the_true_set_of_ids(tmp_path):
    Interleaving.directory = tmp_path
    quiet = settings(
        max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(Interleaving, settings=quiet)


def test_a_log_full_of_superseded_changes_is_compacted_and_old_links_still_work(tmp_path):
    state = TenantState(tmp_path, lambda: datetime(2026, 3, 1, tzinfo=UTC))
    mailbox = state.add_mailbox("ann@contoso.example")
    inbox = mailbox.folder("inbox")
    stored = [state.deliver_mime("ann@contoso.example", b"Subject: x\r\n\r\n") for _ in range(5)]
    early = Follower(mailbox, inbox, immutable=True, query=DeltaQuery())
    early.page(2)
    for turn in range(2000):
        mailbox.update(stored[0], is_read=turn % 2 == 0)
    assert len(inbox.log) < 300
    late = Follower(mailbox, inbox, immutable=True, query=DeltaQuery())
    for follower in (early, late):
        follower.finish()
        assert follower.ids == follower.truth()
        assert len(follower.ids) == 5
    state.close()


def test_a_filtered_first_round_is_silently_cut_at_5000(tmp_path):
    state = TenantState(tmp_path, lambda: datetime(2026, 3, 1, tzinfo=UTC))
    mailbox = state.add_mailbox("ann@contoso.example")
    first = state.deliver_mime("ann@contoso.example", b"Subject: x\r\n\r\n")
    for _ in range(5001):
        mailbox.copy(first, first.folder)
    follower = Follower(mailbox, first.folder, immutable=True, query=DeltaQuery(since=0))
    while not follower.page(1000):
        pass
    assert len(follower.ids) == 5000
    assert len(first.folder.messages) == 5002
    state.close()


@given(st.binary(max_size=80))
def test_no_token_of_a_strangers_making_is_taken(tmp_path_factory, token):
    state = TenantState(tmp_path_factory.mktemp("state"), lambda: datetime(2026, 3, 1, tzinfo=UTC))
    mailbox = state.add_mailbox("ann@contoso.example")
    for text in (token.decode("latin-1"), token.hex()):
        with pytest.raises(SyncStateInvalid):
            read_token(mailbox, mailbox.folder("inbox"), text)
    state.close()
