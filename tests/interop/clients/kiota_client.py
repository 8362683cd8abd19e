"""Microsoft's Graph SDK for Python, made by Kiota, as it comes: lines in, lines out.

Its upload task does not understand the ranges that Outlook's documentation shows (``2097152``, without an end), so that
the pieces of a large file go up by hand.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

import httpx
from azure.identity import ClientSecretCredential
from kiota_abstractions.api_error import APIError
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.headers_collection import HeadersCollection
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from lines import serve
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.attachment_item import AttachmentItem
from msgraph.generated.models.attachment_type import AttachmentType
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.file_attachment import FileAttachment
from msgraph.generated.models.internet_message_header import InternetMessageHeader
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.mail_folders.mail_folders_request_builder import MailFoldersRequestBuilder
from msgraph.generated.users.item.messages.item.attachments.create_upload_session import (
    create_upload_session_post_request_body as upload,
)
from msgraph.generated.users.item.messages.item.move.move_post_request_body import MovePostRequestBody
from msgraph.generated.users.item.messages.item.reply.reply_post_request_body import ReplyPostRequestBody
from msgraph.generated.users.item.messages.messages_request_builder import MessagesRequestBuilder
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph_core import GraphClientFactory
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem
from msgraph_core.tasks.page_iterator import PageIterator

PIECE = 4 * 320 * 1024


def preferring(*preferences, query=None):
    """Return a request's configuration with Prefer headers and query parameters."""
    headers = HeadersCollection()
    for preference in ('IdType="ImmutableId"', *preferences):
        headers.add("Prefer", preference)
    return RequestConfiguration(headers=headers, query_parameters=query)


def recipient(address):
    """Return an addressee."""
    return Recipient(email_address=EmailAddress(address=address))


def particulars(error):
    """Return the status and the code of an error of the SDK."""
    code = error.error.code if isinstance(error, ODataError) and error.error else ""
    return error.response_status_code, code


class Verbs:
    """Each verb in the SDK's own words."""

    def connect(self, facts, mailbox):
        credential = ClientSecretCredential(
            facts["tenant_id"],
            facts["client_id"],
            facts["client_secret"],
            authority=facts["login"],
            disable_instance_discovery=True,
            connection_verify=facts["ca_file"],
        )
        host = urlsplit(facts["graph"]).hostname
        provider = AzureIdentityAuthenticationProvider(
            credential, scopes=["https://graph.microsoft.com/.default"], allowed_hosts=[host]
        )
        trust = ssl.create_default_context(cafile=facts["ca_file"])
        self.web = httpx.AsyncClient(verify=trust, timeout=30)
        client = GraphClientFactory.create_with_default_middleware(client=httpx.AsyncClient(verify=trust, timeout=30))
        self.adapter = GraphRequestAdapter(provider, client)
        self.adapter.base_url = f"{facts['graph']}/v1.0"
        self.client = GraphServiceClient(request_adapter=self.adapter)
        self.user = self.client.users.by_user_id(mailbox)

    def message(self, key):
        return self.user.messages.by_message_id(key)

    async def folders(self):
        query = MailFoldersRequestBuilder.MailFoldersRequestBuilderGetQueryParameters(top=3)
        page = await self.user.mail_folders.get(request_configuration=preferring(query=query))
        found = []
        await PageIterator(page, self.adapter).iterate(lambda folder: found.append(folder) or True)
        children = {}
        for folder in found:
            if folder.child_folder_count:
                below = await self.user.mail_folders.by_mail_folder_id(folder.id).child_folders.get()
                children[folder.display_name] = [child.display_name for child in below.value]
        return {"names": [folder.display_name for folder in found], "children": children}

    async def round(self, link):
        first = self.user.mail_folders.by_mail_folder_id("inbox").messages.delta
        entries, pages = [], 0
        while True:
            builder = first.with_url(link) if link else first
            page = await builder.get(request_configuration=preferring("odata.maxpagesize=2"))
            pages += 1
            for message in page.value:
                gone = (message.additional_data or {}).get("@removed")
                entries.append(
                    {"id": message.id, "subject": message.subject, "read": message.is_read, "removed": bool(gone)}
                )
            if page.odata_delta_link:
                return {"entries": entries, "link": page.odata_delta_link, "pages": pages}
            link = page.odata_next_link

    async def listing(self, unread):
        query = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(
            select=["subject", "receivedDateTime"],
            filter="isRead eq false" if unread else None,
            orderby=None if unread else ["receivedDateTime desc"],
            top=2,
            count=True,
        )
        page = await self.user.messages.get(request_configuration=preferring(query=query))
        found = []
        await PageIterator(page, self.adapter).iterate(lambda message: found.append(message.subject) or True)
        return {"subjects": found, "count": page.odata_count}

    async def read(self, key):
        found = await self.message(key).get(request_configuration=preferring('outlook.body-content-type="text"'))
        return {
            "subject": found.subject,
            "body": found.body.content,
            "from": found.from_.email_address.address,
            "to": [each.email_address.address for each in found.to_recipients],
            "folder": found.parent_folder_id,
            "draft": found.is_draft,
        }

    async def attachments(self, key):
        listed = await self.message(key).attachments.get(request_configuration=preferring())
        found = []
        for each in listed.value:
            whole = await self.message(key).attachments.by_attachment_id(each.id).get(preferring())
            content = whole.content_bytes if isinstance(whole, FileAttachment) else b""
            found.append({"name": whole.name, "kind": whole.odata_type, "content": content.decode()})
        return found

    async def mime(self, key):
        return (await self.message(key).content.get(preferring())).decode()

    async def move(self, key, folder):
        moved = await self.message(key).move.post(MovePostRequestBody(destination_id=folder), preferring())
        return {"id": moved.id, "folder": moved.parent_folder_id}

    async def update(self, key, categories):
        changed = await self.message(key).patch(Message(is_read=True, categories=categories), preferring())
        return {"read": changed.is_read, "categories": changed.categories}

    async def reply(self, key, text):
        await self.message(key).reply.post(ReplyPostRequestBody(comment=text), preferring())

    async def send(self, to, subject, text, file):
        body = ItemBody(content_type=BodyType.Html, content=text)
        attached = FileAttachment(
            odata_type="#microsoft.graph.fileAttachment",
            name="note.txt",
            content_type="text/plain",
            content_bytes=file.encode(),
        )
        message = Message(
            subject=subject,
            body=body,
            to_recipients=[recipient(to)],
            attachments=[attached],
            internet_message_headers=[InternetMessageHeader(name="x-made-by", value="test")],
        )
        await self.user.send_mail.post(SendMailPostRequestBody(message=message, save_to_sent_items=True), preferring())

    async def draft_with_large_file(self, to, subject, size):
        draft = await self.user.messages.post(Message(subject=subject, to_recipients=[recipient(to)]), preferring())
        item = AttachmentItem(attachment_type=AttachmentType.File, name="large.bin", size=size)
        asked = upload.CreateUploadSessionPostRequestBody(attachment_item=item)
        session = await self.message(draft.id).attachments.create_upload_session.post(asked, preferring())
        for start in range(0, size, PIECE):
            piece = b"x" * min(PIECE, size - start)
            span = f"bytes {start}-{start + len(piece) - 1}/{size}"
            (await self.web.put(session.upload_url, content=piece, headers={"Content-Range": span})).raise_for_status()
        await self.message(draft.id).send.post(preferring())

    async def batch(self, keys):
        content = BatchRequestContent()
        items = [BatchRequestItem(self.message(key).to_get_request_information()) for key in keys]
        for item in items:
            content.add_request(item.id, item)
        answered = await self.client.batch.post(content)
        return [answered.get_response_by_id(item.id).status for item in items]

    async def delete(self, key):
        await self.message(key).delete(preferring())


asyncio.run(serve(Verbs(), APIError, particulars))
