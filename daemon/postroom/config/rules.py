"""Rules: from their sections to `Rule`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postroom.config.rule_sections import ActionsSection, RuleSection, WhenSection
from postroom.model import Categorise, Delete, Flag, Forward, MailAction, MarkRead, MoveTo, Reply, Send
from postroom.rule import (
    AgeIs,
    AllOf,
    AnyOf,
    Condition,
    HasAttachments,
    HeaderIs,
    Not,
    Pattern,
    Rule,
    SizeIs,
    TextField,
    TextIs,
)


def make_rules(sections: Sequence[RuleSection]) -> tuple[Rule, ...]:
    """Return the rules in their order."""
    return tuple(
        Rule(
            name=rule_name(section, index),
            when=condition(section.when),
            handle=tuple(dict.fromkeys(section.handle)),
            then=tuple(_actions(section.then)),
            on_failure=tuple(_actions(section.on_failure)),
            stop=section.stop,
        )
        for index, section in enumerate(sections)
    )


def rule_name(section: RuleSection, index: int) -> str:
    """Return the rule's name, or ``rule N`` counted from 1."""
    return section.name or f"rule {index + 1}"


def condition(when: WhenSection) -> Condition:
    """Return what must hold; a single condition stands alone, cheap ones come before those that cost a request."""
    parts = (*_cheap(when), *_costly(when), *_nested(when))
    return parts[0] if len(parts) == 1 else AllOf(parts)


def _cheap(when: WhenSection) -> Iterator[Condition]:
    if when.has_attachments is not None:
        yield HasAttachments(when.has_attachments)
    for field, patterns in _texts(when):
        if patterns is not None:
            yield TextIs(field, _compiled(patterns))
    if when.age is not None:
        yield AgeIs(when.age.least, when.age.most)


def _costly(when: WhenSection) -> Iterator[Condition]:
    if when.size is not None:
        yield SizeIs(when.size.least, when.size.most)
    if when.attachment is not None:
        yield TextIs("attachment", _compiled(when.attachment))
    for name, patterns in (when.header or {}).items():
        yield HeaderIs(name, _compiled(patterns))


def _nested(when: WhenSection) -> Iterator[Condition]:
    if when.all_ is not None:
        yield AllOf(tuple(condition(each) for each in when.all_))
    if when.any_ is not None:
        yield AnyOf(tuple(condition(each) for each in when.any_))
    if when.not_ is not None:
        yield Not(condition(when.not_))


def _texts(when: WhenSection) -> Iterator[tuple[TextField, Sequence[str] | None]]:
    yield "from", when.from_
    yield "to", when.to
    yield "subject", when.subject
    yield "importance", when.importance
    yield "category", when.category


def _compiled(patterns: Sequence[str]) -> tuple[Pattern, ...]:
    return tuple(Pattern.parse(pattern) for pattern in patterns)


def _actions(section: ActionsSection) -> Iterator[MailAction]:
    """Mails first, for what is deleted cannot be answered; once moved, nobody looks where the marks appear."""
    yield from _letters(section)
    if section.mark_read is not None:
        yield MarkRead(section.mark_read)
    if section.categories:
        yield Categorise(section.categories)
    if section.flag is not None:
        yield Flag(section.flag)
    if section.move_to is not None:
        yield MoveTo(section.move_to)
    if section.delete:
        yield Delete()


def _letters(section: ActionsSection) -> Iterator[MailAction]:
    if (reply := section.reply) is not None:
        yield Reply(reply.text, reply.subject or "", reply.to_all)
    if (forward := section.forward) is not None:
        yield Forward(forward.to, forward.comment or "")
    if (send := section.send) is not None:
        yield Send(send.to, send.subject, send.text, send.cc or ())
