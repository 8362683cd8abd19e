"""The pages on the plug-in API, the errors and the simulated tenant say what the code has."""

import ast
import dataclasses
import inspect
import re

import pytest

import postroom.testing
from postroom import errors, model, plugin
from postroom.graph.aadsts import ADVICE
from postroom.simulator import effects
from postroom.simulator.entra.errors import REFUSALS
from postroom.simulator.graph import routes
from postroom.simulator.server import SimulatedTenant


@pytest.fixture(scope="module")
def page(root):
    """A function from a page's name to its sections, heading -> text; what comes first is under the empty heading."""

    def read(name):
        text = (root / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
        first, *parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
        return {"": first, **dict(zip(parts[::2], parts[1::2], strict=True))}

    return read


def rows(text):
    """The first word in back-ticks of each row of the tables, without what stands in brackets behind it."""
    return [re.match(r"\w+", found)[0] for found in re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)]


def members(protocol):
    """The public names of a protocol, in its own body."""
    annotated = [name for name in protocol.__annotations__ if not name.startswith("_")]
    return {*annotated, *(name for name in vars(protocol) if not name.startswith("_"))}


def test_every_name_of_the_plugin_api_is_listed_and_no_other(page):
    assert sorted(rows(page("plugin-api")[""])) == sorted(plugin.__all__)


def test_every_name_of_the_test_kit_is_listed_and_no_other(page):
    assert sorted(rows(page("plugin-api")["`postroom.testing`"])) == sorted(postroom.testing.__all__)


def test_every_field_of_a_message_is_listed_in_its_order(page):
    fields = [field.name for field in dataclasses.fields(plugin.Message)]
    assert rows(page("plugin-api")["`Message`"]) == fields


def test_every_member_of_the_context_is_listed(page):
    assert set(rows(page("plugin-api")["`Context`"])) == members(plugin.Context)


def test_every_member_of_an_attachment_is_listed(page):
    fields = {field.name for field in dataclasses.fields(plugin.Attachment)}
    methods = {"stream", "read", "save_to"}
    assert methods <= vars(plugin.Attachment).keys()
    assert set(rows(page("plugin-api")["`Attachment`"])) == fields | methods


def test_every_method_of_a_handler_is_listed(page):
    listed = set(re.findall(r"^\| `(\w+)\(", page("plugin-api")["`Handler`"], re.MULTILINE))
    own = {name for name in vars(plugin.Handler) if inspect.isfunction(getattr(plugin.Handler, name))}
    own = {name for name in own if not name.startswith("_")}
    assert listed - {"__init__"} == own


@pytest.mark.parametrize("section", ["Outcomes", "Mail actions"])
def test_every_field_of_an_outcome_or_action_is_listed(page, section):
    for name, cells in re.findall(r"^\| `(\w+)` \|(.*)$", page("plugin-api")[section], re.MULTILINE):
        fields = {field.name for field in dataclasses.fields(getattr(model, name))}
        assert fields <= set(re.findall(r"`(\w+)`", cells.split("|")[0])), name


def test_every_error_is_listed_with_its_exit_code(page):
    table = re.findall(r"^\| `(\w+)` \| (\d+) \| (\w+) \|", page("errors")[""], re.MULTILINE)
    listed = {name: (int(code), temporary) for name, code, temporary in table}
    defined = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.PostroomError)
    }
    assert listed.keys() == defined.keys()
    for name, (code, temporary) in listed.items():
        assert code == defined[name].exit_code, name
        assert temporary in ("depends", "yes" if defined[name].temporary else "no"), name


def test_every_code_of_our_own_is_explained_and_no_other(page, root):
    listed = set(rows(page("errors")["Graph"]))
    used = set()
    package = root / "daemon" / "postroom"
    for path in [*(package / "ports").glob("*.py"), *(package / "graph").glob("*.py")]:
        used |= {text for text in strings(path) if text in listed} | set(
            re.findall(r'code="([A-Z]\w+)"', path.read_text(encoding="utf-8"))
        )
    assert used == listed


def strings(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_sign_in_error_is_explained(page):
    listed = {int(code) for code in re.findall(r"`AADSTS(\d+)`", page("errors")["Sign-in"])}
    assert listed == ADVICE.keys()


async def test_the_keys_of_simulate_json_are_those_it_prints(page, tmp_path):
    async with SimulatedTenant(tmp_path, mailboxes=["a@contoso.example"], tls=False) as tenant:
        printed = [*tenant.describe(), "config_file"]
    assert rows(page("simulator")["`postroom simulate --json`"]) == printed


def test_every_request_the_simulated_graph_answers_is_listed_and_no_other(page):
    shapes = {(method, shape) for method, shape in routes._OPERATIONS if "mailfolders/*/messages" not in shape}
    answered = {(method, shape.removeprefix("users/*/")) for method, shape in shapes} - {("GET", "messages/delta")}
    listed, place = set(), ""
    for method, path in re.findall(r"`(GET|POST|PATCH|DELETE) (\S+?)`", page("simulator")["Graph"]):
        place = path if not path.startswith("...") else f"{place.rpartition('/attachments')[0]}{path[3:]}"
        listed.add((method, re.sub(r"\{\w+\}", "*", place).lower()))
    listed.discard(("GET", "mailfolders/*/messages/delta"))
    assert listed == answered


def test_every_refusal_of_the_simulated_entra_is_listed(page):
    listed = {int(code) for code in re.findall(r"`AADSTS(\d+)`", page("simulator")["Sign-in"])}
    assert listed == REFUSALS.keys()


def test_every_fault_is_listed(page):
    made = {name for name, value in vars(effects).items() if isinstance(value, type) and hasattr(value, "apply")}
    assert set(rows(page("simulator")["Faults"])) == made
