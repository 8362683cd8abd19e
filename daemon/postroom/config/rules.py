"""Rules: from their sections to `Rule`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

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

_NAMELESS: Final = "unnamed-"


def make_rules(sections: Sequence[RuleSection]) -> tuple[Rule, ...]:
    """Return the rules in their order."""
    return tuple(
        Rule(
            name=name,
            when=condition(section.when),
            handle=tuple(dict.fromkeys(section.handle)),
            then=tuple(_actions(section.then)),
            on_failure=tuple(_actions(section.on_failure)),
            stop=section.stop,
        )
        for name, section in zip(rule_names(sections), sections, strict=True)
    )


def rule_names(sections: Sequence[RuleSection]) -> list[str]:
    """Return what each of a mailbox's rules is called: its name, or ``unnamed-1f3a9c02``, after what it says.

    For the journal this is the rule itself: mails that wait, and those that were sent, are known to be of it by nothing
    else. So it must not depend on where a rule stands. Of several that say the same the second ends in ``-2``.
    """
    nameless = Counter[str]()
    names = []
    for section in sections:
        if (name := section.name) is None:
            name = f"{_NAMELESS}{_digest(section)}"
            nameless[name] += 1
            name = name if nameless[name] == 1 else f"{name}-{nameless[name]}"
        names.append(name)
    return names


def is_nameless(name: str) -> bool:
    """Say whether a rule called so has most likely no name in the file, where nobody finds it by this one."""
    return name.startswith(_NAMELESS)


def _digest(section: RuleSection) -> str:
    """Return eight digits for what a rule says, however it is laid out.

    What is left out, or written as if it were, does not count: a setting of a later version must change nothing.
    """
    said = section.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"name"})
    text = json.dumps({key: value for key, value in said.items() if value}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


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
