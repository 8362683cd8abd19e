"""Attachments over real HTTP."""

from base64 import b64decode, b64encode

import pytest

PDF = b"%PDF-1.7\r\n" + bytes(range(256)) * 5
INNER = b"Subject: inside\r\nFrom: x@fabrikam.example\r\n\r\nText\r\n.with a dot\r\n"
MIXED = b"\r\n".join(
    [
        b"Subject: with files",
        b"MIME-Version: 1.0",
        b'Content-Type: multipart/mixed; boundary="=_outer"',
        b"",
        b"--=_outer",
        b'Content-Type: multipart/related; boundary="in ner"',
        b"",
        b"--in ner",
        b"Content-Type: text/html",
        b"",
        b"<img src='cid:logo@x'>",
        b"--in ner",
        b"Content-Type: image/png",
        b"Content-ID: <logo@x>",
        b"Content-Transfer-Encoding: base64",
        b"",
        b64encode(b"\x89PNG"),
        b"--in ner--",
        b"--=_outer",
        b"Content-Type: application/pdf",
        b"Content-Disposition: attachment; filename*=utf-8''R%C3%A9sum%C3%A9%20.pdf",
        b"Content-Transfer-Encoding: base64",
        b"",
        b64encode(PDF),
        b"--=_outer",
        b"Content-Type: message/rfc822",
        b"",
        INNER + b"",
        b"--=_outer",
        b'Content-Type: message/external-body; access-type=URL; URL="https://contoso.example/doc"',
        b"Content-Disposition: attachment; filename=doc",
        b"",
        b"",
        b"--=_outer--",
        b"",
    ]
)


@pytest.fixture
def mixed(ann, state):
    return ann.immutable_id(state.deliver_mime(ann.address, MIXED))


async def test_files_mails_and_links_are_listed_as_what_they_are(graph, mixed):
    found = (await graph.get(f"/messages/{mixed}/attachments"))["value"]
    assert [one["@odata.type"].removeprefix("#microsoft.graph.") for one in found] == [
        "fileAttachment",
        "fileAttachment",
        "itemAttachment",
        "referenceAttachment",
    ]
    logo, pdf, item, _ = found
    assert (logo["isInline"], logo["contentId"], b64decode(logo["contentBytes"])) == (True, "logo@x", b"\x89PNG")
    assert (pdf["name"], pdf["contentType"], pdf["size"], pdf["isInline"]) == (
        "Résumé .pdf",
        "application/pdf",
        len(PDF),
        False,
    )
    assert item["name"] == "inside"
    assert "contentBytes" not in item


async def test_a_selection_leaves_the_content_out(graph, mixed):
    found = (await graph.get(f"/messages/{mixed}/attachments?$select=id,name,size"))["value"]
    assert set(found[1]) == {"@odata.type", "id", "name", "size"}
    assert (await graph("GET", f"/messages/{mixed}/attachments?$select=contentId")).status == 400


@pytest.mark.parametrize("prefer", [(), 'IdType="ImmutableId"'])
async def test_raw_content_is_byte_for_byte_what_was_sent(graph, mixed, prefer):
    logo, pdf, item, link = (await graph.get(f"/messages/{mixed}/attachments", prefer=prefer))["value"]
    answer = await graph("GET", f"/messages/{mixed}/attachments/{pdf['id']}/$value")
    assert (answer.data, answer.headers["Content-Type"]) == (PDF, "application/pdf")
    assert (await graph("GET", f"/messages/{mixed}/attachments/{logo['id']}/$value")).data == b"\x89PNG"
    assert (await graph("GET", f"/messages/{mixed}/attachments/{item['id']}/$value")).data == INNER
    assert (await graph("GET", f"/messages/{mixed}/attachments/{link['id']}/$value")).status == 405


async def test_one_attachment_and_expanded_ones_carry_their_content(graph, mixed):
    pdf = (await graph.get(f"/messages/{mixed}/attachments"))["value"][1]
    assert b64decode((await graph.get(f"/messages/{mixed}/attachments/{pdf['id']}"))["contentBytes"]) == PDF
    message = await graph.get(f"/messages/{mixed}?$select=hasAttachments&$expand=attachments")
    assert message["hasAttachments"] is True
    assert b64decode(message["attachments"][1]["contentBytes"]) == PDF


async def test_inline_attachments_alone_do_not_count_as_attachments(graph, ann, state):
    only_logo = MIXED[: MIXED.index(b"--=_outer\r\nContent-Type: application/pdf")] + b"--=_outer--\r\n"
    stored = ann.immutable_id(state.deliver_mime(ann.address, only_logo))
    assert (await graph.get(f"/messages/{stored}"))["hasAttachments"] is False
    assert len((await graph.get(f"/messages/{stored}/attachments"))["value"]) == 1


async def test_an_attachment_that_is_not_there_is_a_404(graph, mixed):
    answer = await graph("GET", f"/messages/{mixed}/attachments/{mixed}")
    assert (answer.status, answer.code) == (404, "ErrorItemNotFound")


@pytest.mark.parametrize("kind", [b"text/x\x00y", b"text/a\rSet-Cookie: x=y", b"nonsense", "tëxt/plain".encode(), b"/"])
async def test_a_content_type_that_is_none_cannot_reach_the_http_header(graph, ann, state, kind):
    head = b"Content-Disposition: attachment; filename=a\r\nContent-Type: "
    stored = ann.immutable_id(state.deliver_mime(ann.address, head + kind + b"\r\n\r\ndata"))
    (found,) = (await graph.get(f"/messages/{stored}/attachments"))["value"]
    answer = await graph("GET", f"/messages/{stored}/attachments/{found['id']}/$value")
    assert (answer.status, answer.data) == (200, b"data")
    assert answer.headers["Content-Type"] == "application/octet-stream"
