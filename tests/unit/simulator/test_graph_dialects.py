"""One resource, many spellings: what the SDKs of this world send."""

import pytest

from postroom.simulator.graph.paths import read_path
from support.exchanges import DIALECT

ANN = "ann@contoso.example"


@pytest.mark.parametrize(
    "spelling",
    [
        "users/{user}/mailFolders/inbox/messages/delta",
        "users/{user}/mailFolders/inbox/messages/delta()",
        "users/{user}/mailFolders/inbox/messages/microsoft.graph.delta",
        "users/{user}/mailFolders/inbox/messages/microsoft.graph.delta()",
        "users/{user}/mailFolders('inbox')/messages/delta",
        "users('{user}')/mailFolders('inbox')/messages/delta",
        "users(id='{user}')/mailFolders(id='inbox')/messages/delta()",
        "users({user})/mailFolders(inbox)/messages/delta",
        "users//{user}//mailFolders/inbox//messages/delta/",
        "Users/{user}/MailFolders/Inbox/Messages/Delta",
        "users/{user}/mailFolders/msgfolderroot/childFolders/{inbox}/messages/delta",
        "users/{user}/mailFolders('msgfolderroot')/childFolders('{inbox}')/messages/delta",
        "users/{encoded}/mailFolders/%69nbox/messages/%64elta",
        "users/{id}/mailFolders/{inbox}/messages/delta",
    ],
)
async def test_every_spelling_of_a_path_is_understood(graph, ann, state, spelling):
    state.deliver_mime(ANN, b"Subject: x\r\n\r\n")
    inbox = ann.folder("inbox").id
    path = spelling.format(user=ANN, id=ann.id, encoded="ann%40contoso.example", inbox=inbox)
    answer = await graph("GET", f"{graph.root}/{path}?%24select=subject", unjudged=DIALECT)
    assert answer.status == 200, answer.data
    assert [one["subject"] for one in answer.json["value"]] == ["x"]


@pytest.mark.parametrize("query", ["$select=subject", "%24select=subject", "$SELECT=subject", "select=subject"])
async def test_query_options_are_known_with_and_without_their_dollar(graph, state, query):
    state.deliver_mime(ANN, b"Subject: x\r\n\r\n")
    page = (await graph("GET", f"/mailFolders/inbox/messages?{query}", unjudged=DIALECT)).json
    assert page["value"][0].keys() == {"@odata.etag", "id", "subject"}


async def test_a_quote_in_a_key_is_doubled(graph, state):
    state.add_mailbox("o'brien@contoso.example")
    for path in ("users('o''brien%40contoso.example')", "users/o'brien@contoso.example"):
        page = await graph.get(f"{graph.root}/{path}/mailFolders/inbox/messages/delta", unjudged=DIALECT)
        assert "/users('o''brien%40contoso.example')/" in page["@odata.deltaLink"]
        assert (await graph("GET", page["@odata.deltaLink"], unjudged=DIALECT)).status == 200


@pytest.mark.parametrize(
    ("raw", "shape"),
    [
        ("/v1.0/subscriptions/7", "subscriptions/*"),
        ("/v1.0/subscriptions('7')/reauthorize", "subscriptions/*/reauthorize"),
        ("/v1.0/$batch", "$batch"),
        ("/v1.0/%24batch", "$batch"),
        ("/v1.0/users/a/mailFolders/$count", "users/*/mailfolders/$count"),
        ("/v1.0/users/a/translateExchangeIds", "users/*/translateexchangeids"),
        ("/v1.0/users/a/microsoft.graph.translateExchangeIds", "users/*/translateexchangeids"),
        ("/v1.0/", ""),
    ],
)
def test_paths_have_one_shape(raw, shape):
    assert read_path(raw).shape == shape
