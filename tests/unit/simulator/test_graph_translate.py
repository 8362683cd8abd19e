"""translateExchangeIds over real HTTP; the published contract does not know it."""

import pytest

from support.exchanges import NOT_LISTED


@pytest.fixture
def stored(state, ann):
    return state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")


async def translate(graph, ids, source="restId", target="restImmutableEntryId"):
    body = {"inputIds": ids, "sourceIdType": source, "targetIdType": target}
    return await graph("POST", "/translateExchangeIds", body=body, unjudged=NOT_LISTED)


async def test_ids_are_translated_there_and_back(graph, ann, stored):
    default, immutable = ann.default_id(stored), ann.immutable_id(stored)
    there = await translate(graph, [default])
    assert there.json["value"] == [{"sourceId": default, "targetId": immutable}]
    back = await translate(graph, [immutable], "restImmutableEntryId", "restId")
    assert back.json["value"] == [{"sourceId": immutable, "targetId": default}]


async def test_ids_of_exchange_web_services_have_another_alphabet(graph, ann, stored):
    answer = await translate(graph, [ann.immutable_id(stored)], "restImmutableEntryId", "ewsId")
    ews = answer.json["value"][0]["targetId"]
    assert not {"-", "_"} & set(ews)
    assert (await translate(graph, [ews], "ewsId")).json["value"][0]["targetId"] == ann.immutable_id(stored)


async def test_an_id_that_is_none_spoils_no_other(graph, ann, stored):
    answer = await translate(graph, ["nonsense", ann.default_id(stored)])
    wrong, right = answer.json["value"]
    assert (wrong["sourceId"], wrong["errorDetails"]["code"]) == ("nonsense", "ErrorInvalidIdMalformed")
    assert "targetId" in right


async def test_a_thousand_ids_are_translated_at_once_and_not_one_more(graph, ann, stored):
    assert len((await translate(graph, [ann.default_id(stored)] * 1000)).json["value"]) == 1000
    assert (await translate(graph, [ann.default_id(stored)] * 1001)).status == 400


@pytest.mark.parametrize(
    "change", [{"inputIds": "x"}, {"inputIds": [1]}, {"sourceIdType": "nonsense"}, {"targetIdType": None}]
)
async def test_what_cannot_be_translated_is_refused(graph, change):
    body = {"inputIds": [], "sourceIdType": "restId", "targetIdType": "ewsId", **change}
    assert (await graph("POST", "/translateExchangeIds", body=body, unjudged=NOT_LISTED)).status == 400
