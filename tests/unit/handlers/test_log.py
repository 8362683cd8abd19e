import pytest

from postroom.handlers.log import Log
from postroom.plugin import Body, Done
from postroom.testing import FakeContext, make_message, run_handler


async def logged(options, **fields):
    context = FakeContext(message=make_message(**fields), text=Body("text", "TOP SECRET TEXT"))
    assert await run_handler(Log, options, context=context) == Done()
    (entry,) = context.logged
    return entry


async def test_a_mail_is_one_line_of_metadata():
    level, event, fields = await logged({}, size=2048, preview="TOP SECRET TEXT")
    assert (level, event) == ("info", "mail")
    assert fields["subject"] == "Invoice 4711"
    assert fields["sender"] == "ada@supplier.example"
    assert fields["to"] == ["invoices@contoso.example"]
    assert fields["size"] == 2048
    assert "TOP SECRET" not in str(fields)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
async def test_the_level_is_the_operators_choice(level):
    assert (await logged({"level": level}))[0] == level


async def test_people_and_subject_can_be_left_out():
    _, _, fields = await logged({"people": False, "subject": False})
    assert "supplier" not in str({key: value for key, value in fields.items() if key != "internet_message_id"})
    assert "Invoice" not in str(fields)


async def test_an_unknown_size_is_not_logged():
    assert "size" not in (await logged({}))[2]
