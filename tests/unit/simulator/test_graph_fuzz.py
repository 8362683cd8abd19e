"""Whatever is asked, however odd, the answer is one of Graph's and never a failure of the server."""

import json
import random

import pytest

from support.exchanges import BY_CHANCE

ODD = [
    "",
    "'",
    "''",
    "%00",
    "%ff",
    "%27",
    "(",
    ")",
    "..",
    "%2e%2e",
    "%2F",
    "*",
    "null",
    "-1",
    "0",
    "a" * 500,
    "%F0%9F%92%A5",
    "%ED%A0%80",
]
SEGMENTS = [
    "users", "ann@contoso.example", "mailFolders", "mailFolders('inbox')", "inbox", "archive", "searchfolders",
    "childFolders", "messages", "delta", "delta()", "microsoft.graph.delta", "$count", "$value", "$batch",
    "subscriptions", "reauthorize", "translateExchangeIds", "move", "copy", "permanentDelete", "attachments",
    "AAMkADRkNGNjODMz", "{message}", "{folder}", "users('ann@contoso.example')", *ODD,
]  # fmt: skip
GOOD_STARTS = [
    ["users", "ann@contoso.example"],
    ["users", "ann@contoso.example", "mailFolders", "inbox"],
    ["users", "ann@contoso.example", "mailFolders", "{folder}"],
    ["users", "ann@contoso.example", "messages", "{message}"],
    ["subscriptions"],
    [],
]
OPTIONS = [
    "$select", "$filter", "$orderby", "$top", "$skip", "$count", "$expand", "$search", "$deltatoken", "$skiptoken",
    "changeType", "includeHiddenFolders", "$nonsense",
]  # fmt: skip
VALUES = [
    "subject", "id", "displayName", "isRead eq true", "receivedDateTime ge 2026-01-01T00:00:00Z", "((((", "not",
    "receivedDateTime desc", "1", "true", "created", "childFolders", "attachments", "AAAA", "latest", *ODD,
]  # fmt: skip
NAMES = [
    "displayName", "destinationId", "DestinationId", "isHidden", "@odata.type", "filterQuery", "sourceFolderIds",
    "inputIds", "sourceIdType", "targetIdType", "changeType", "notificationUrl", "resource", "expirationDateTime",
    "requests", "id", "method", "url", "headers", "body", "dependsOn", "isRead", "subject", "",
]  # fmt: skip
ATOMS = [
    None, True, 0, -1, 1.5, "", "x", "inbox", [], {}, ["x"], [None], {"x": 1}, "microsoft.graph.mailSearchFolder",
    "GET", "/users", "restId", "ewsId", "created", "http://localhost:1/x", "2026-03-01T13:00:00Z", "\ud800", "x" * 300,
    "users/ann@contoso.example/messages", 10**30,
]  # fmt: skip
PREFER = ["", 'IdType="ImmutableId"', "odata.maxpagesize=0", "odata.maxpagesize=99999999999", "((", "=;,=", "é"]


class Chance:
    """Makes odd requests, the same in each run."""

    def __init__(self, seed, names):
        self.random = random.Random(seed)
        self.names = names

    def path(self):
        start = self.random.choice(GOOD_STARTS)
        more = [self.random.choice(SEGMENTS) for _ in range(self.random.randrange(4))]
        return "/".join([*start, *more]).format_map(self.names)

    def query(self):
        pairs = [(self.random.choice(OPTIONS), self.random.choice(VALUES)) for _ in range(self.random.randrange(4))]
        return "&".join(f"{name}={value}" for name, value in pairs).replace(" ", "%20").replace("#", "")

    def value(self, depth=0):
        if depth > 2 or self.random.random() < 0.5:
            return self.random.choice(ATOMS)
        if self.random.random() < 0.3:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.random.choice(NAMES): self.value(depth + 1) for _ in range(self.random.randrange(6))}

    def body(self):
        kind = self.random.random()
        if kind < 0.1:
            return self.random.choice([b"{", b"[]", b"1", b"\xff\xfe", b'{"a": NaN}', b"[" * 5000, b'"x"'])
        return json.dumps(self.value()).encode()


@pytest.mark.parametrize("seed", range(8))
async def test_no_request_however_odd_makes_the_server_fail(graph, ann, state, seed):
    stored = state.deliver_mime(ann.address, b"From: bob@fabrikam.example\r\nSubject: x\r\n\r\nbody")
    folder = ann.create_folder("Bills")
    chance = Chance(seed, {"message": ann.immutable_id(stored), "folder": folder.id})
    statuses = set()
    for _ in range(150):
        method = chance.random.choice(["GET", "GET", "POST", "PATCH", "DELETE", "PUT"])
        headers = {"Prefer": chance.random.choice(PREFER), "Content-Type": "application/json"}
        data = None if method == "GET" else chance.body()
        url = f"{graph.root}/{chance.path()}?{chance.query()}"
        answer = await graph("GET" if data is None else method, url, headers=headers, data=data, unjudged=BY_CHANCE)
        statuses.add(answer.status)
        assert answer.status < 500, (method, url, data, answer.data)
        if answer.status >= 400:
            error = answer.json["error"]
            assert error["code"]
            assert error["innerError"]["request-id"] == answer.headers["request-id"]
    assert {200, 400, 404} <= statuses


@pytest.mark.parametrize("seed", range(4))
async def test_no_batch_however_odd_makes_the_server_fail(graph, ann, seed):
    chance = Chance(seed, {"message": "x", "folder": ann.folder("archive").id})
    served = 0
    for _ in range(60):
        parts = [
            {
                "id": str(number),
                "method": chance.random.choice(["GET", "POST", "PATCH", "DELETE"]),
                "url": f"/{chance.path()}?{chance.query()}",
                "headers": {"Content-Type": chance.random.choice(["application/json", "text/plain", "image/png"])},
                "body": chance.value(),
                "dependsOn": [str(number - 1)] if number and chance.random.random() < 0.2 else None,
            }
            for number in range(chance.random.randrange(1, 8))
        ]
        answer = await graph("POST", f"{graph.root}/$batch", body={"requests": parts}, unjudged=BY_CHANCE)
        assert answer.status in (200, 400), answer.data
        for one in answer.json.get("responses", ()):
            served += 1
            assert one["status"] < 500, (parts[int(one["id"])], one)
    assert served
