"""The O365 package, as it comes: lines in, lines out.

It cannot be told another login host, so that MSAL, which it uses itself, fills its token store beforehand. Of change
tracking it knows nothing; as its users do, the round goes through its connection and its message class.
"""

import asyncio
import logging
import tempfile
from pathlib import Path

from lines import serve
from msal import ConfidentialClientApplication
from O365 import Account, MSGraphProtocol
from O365.utils.token import MemoryTokenBackend
from requests import HTTPError

SCOPES = ["https://graph.microsoft.com/.default"]


def particulars(error):
    """Return the status and the code of a refusal."""
    return error.response.status_code, error.response.json()["error"]["code"]


class Verbs:
    """Each verb in the package's own words."""

    def connect(self, facts, mailbox):
        class Here(MSGraphProtocol):
            """Microsoft Graph at another address, in the way the package documents."""

            _protocol_url = f"{facts['graph']}/"

        store = MemoryTokenBackend()
        ConfidentialClientApplication(
            facts["client_id"],
            client_credential=facts["client_secret"],
            authority=f"{facts['login']}/{facts['tenant_id']}",
            instance_discovery=False,
            verify=facts["ca_file"],
            token_cache=store,
        ).acquire_token_for_client(SCOPES)
        self.account = Account(
            (facts["client_id"], facts["client_secret"]),
            protocol=Here(timezone="UTC"),
            auth_flow_type="credentials",
            tenant_id=facts["tenant_id"],
            token_backend=store,
            main_resource=mailbox,
            default_headers={"Prefer": 'IdType="ImmutableId"'},
            requests_delay=0,
            verify_ssl=facts["ca_file"],
        )
        assert self.account.is_authenticated
        self.mailbox = self.account.mailbox()

    def folders(self):
        found = list(self.mailbox.get_folders())
        children = {
            folder.name: [child.name for child in folder.get_folders()]
            for folder in found
            if folder.child_folders_count
        }
        return {"names": [folder.name for folder in found], "children": children}

    def round(self, link):
        link = link or self.mailbox.build_url("/mailFolders/inbox/messages/delta")
        entries, pages = [], 0
        while True:
            page = self.account.connection.get(link, headers={"Prefer": "odata.maxpagesize=2"}).json()
            pages += 1
            for each in page["value"]:
                message = self.mailbox.message_constructor(parent=self.mailbox, __cloud_data__=each)
                entries.append(
                    {
                        "id": message.object_id,
                        "subject": message.subject,
                        "read": message.is_read,
                        "removed": "@removed" in each,
                    }
                )
            if "@odata.deltaLink" in page:
                return {"entries": entries, "link": page["@odata.deltaLink"], "pages": pages}
            link = page["@odata.nextLink"]

    def listing(self, unread):
        query = self.mailbox.new_query().equals("isRead", False) if unread else None
        order = None if unread else "receivedDateTime desc"
        found = self.mailbox.get_messages(limit=None, batch=2, query=query, order_by=order)
        return {"subjects": [message.subject for message in found]}

    def read(self, key):
        found = self.mailbox.get_message(key)
        return {
            "subject": found.subject,
            "body": found.get_body_text(),
            "from": found.sender.address,
            "to": [each.address for each in found.to],
            "folder": found.folder_id,
            "draft": found.is_draft,
        }

    def attachments(self, key):
        message = self.mailbox.get_message(key, download_attachments=True)
        found = []
        with tempfile.TemporaryDirectory() as place:
            for each in message.attachments:
                is_file = each.attachment_type == "file"
                if is_file:
                    each.save(place)
                content = Path(place, each.name).read_text() if is_file else ""
                kind = f"#microsoft.graph.{each.attachment_type}Attachment"
                found.append({"name": each.name, "kind": kind, "content": content})
        return found

    def mime(self, key):
        return self.mailbox.get_message(key).get_mime_content().decode()

    def move(self, key, folder):
        message = self.mailbox.get_message(key)
        assert message.move(folder)
        return {"id": message.object_id, "folder": self.mailbox.get_message(message.object_id).folder_id}

    def update(self, key, categories):
        message = self.mailbox.get_message(key)
        message.is_read, message.categories = True, categories
        assert message.save_message()
        changed = self.mailbox.get_message(key)
        return {"read": changed.is_read, "categories": changed.categories}

    def reply(self, key, text):
        draft = self.mailbox.get_message(key).reply(to_all=False)
        draft.body = text
        assert draft.send()

    def send(self, to, subject, text, file):
        message = self.mailbox.new_message()
        message.to.add(to)
        message.subject, message.body = subject, text
        message.add_message_header("x-made-by", "test")
        with tempfile.TemporaryDirectory() as place:
            Path(place, "note.txt").write_text(file)
            message.attachments.add(str(Path(place, "note.txt")))
            assert message.send()

    def draft_with_large_file(self, to, subject, size):
        message = self.mailbox.new_message()
        message.to.add(to)
        message.subject = subject
        assert message.save_draft()
        with tempfile.TemporaryDirectory() as place:
            Path(place, "large.bin").write_bytes(b"x" * size)
            message.attachments.add(str(Path(place, "large.bin")))
            message.body = "See the file."
            assert message.save_draft()
        assert message.send()

    def delete(self, key):
        assert self.mailbox.get_message(key).delete()


logging.getLogger("O365").setLevel(logging.CRITICAL)
asyncio.run(serve(Verbs(), HTTPError, particulars))
