// Microsoft's Graph client for JavaScript, as it comes: lines in, lines out, as lines.py says.
import { createInterface } from "node:readline";
import { text as textOf } from "node:stream/consumers";
import { Readable } from "node:stream";

import { ClientSecretCredential } from "@azure/identity";
import graph from "@microsoft/microsoft-graph-client";
import providers from "@microsoft/microsoft-graph-client/authProviders/azureTokenCredentials/index.js";

const { BatchRequestContent, Client, FileUpload, GraphError, LargeFileUploadTask, PageIterator, ResponseType } = graph;
const IMMUTABLE = 'IdType="ImmutableId"';
let client, user;

const api = (path, ...preferences) => client.api(`${user}${path}`).header("Prefer", [IMMUTABLE, ...preferences].join(", "));

const every = async (page) => {
  const found = [];
  await new PageIterator(client, page, (each) => found.push(each) > 0, { headers: { Prefer: IMMUTABLE } }).iterate();
  return found;
};

const verbs = {
  async connect({ facts, mailbox }) {
    const credential = new ClientSecretCredential(facts.tenant_id, facts.client_id, facts.client_secret, {
      authorityHost: facts.login,
      disableInstanceDiscovery: true,
    });
    const authProvider = new providers.TokenCredentialAuthenticationProvider(credential, {
      scopes: ["https://graph.microsoft.com/.default"],
    });
    const customHosts = new Set([new URL(facts.graph).hostname]);
    client = Client.initWithMiddleware({ authProvider, baseUrl: facts.graph, customHosts });
    user = `/users/${mailbox}`;
  },

  async folders() {
    const found = await every(await api("/mailFolders").top(3).get());
    const children = {};
    for (const folder of found.filter((each) => each.childFolderCount)) {
      const below = await api(`/mailFolders/${folder.id}/childFolders`).get();
      children[folder.displayName] = below.value.map((each) => each.displayName);
    }
    return { names: found.map((each) => each.displayName), children };
  },

  async round({ link }) {
    const entries = [];
    let pages = 0;
    for (let next = link ?? `${user}/mailFolders/inbox/messages/delta`; ; ) {
      const page = await client.api(next).header("Prefer", `${IMMUTABLE}, odata.maxpagesize=2`).get();
      pages += 1;
      for (const each of page.value) {
        entries.push({ id: each.id, subject: each.subject ?? null, read: each.isRead ?? null, removed: "@removed" in each });
      }
      if (page["@odata.deltaLink"]) return { entries, link: page["@odata.deltaLink"], pages };
      next = page["@odata.nextLink"];
    }
  },

  async listing({ unread }) {
    const request = api("/messages").select(["subject", "receivedDateTime"]).top(2).count(true);
    const page = await (unread ? request.filter("isRead eq false") : request.orderby("receivedDateTime desc")).get();
    const count = page["@odata.count"];
    return { subjects: (await every(page)).map((each) => each.subject), count };
  },

  async read({ key }) {
    const found = await api(`/messages/${key}`, 'outlook.body-content-type="text"').get();
    return {
      subject: found.subject,
      body: found.body.content,
      from: found.from.emailAddress.address,
      to: found.toRecipients.map((each) => each.emailAddress.address),
      folder: found.parentFolderId,
      draft: found.isDraft,
    };
  },

  async attachments({ key }) {
    const found = [];
    for (const each of (await api(`/messages/${key}/attachments`).select("id,name").get()).value) {
      const one = `/messages/${key}/attachments/${each.id}`;
      const whole = await api(one).get();
      const isFile = whole["@odata.type"] === "#microsoft.graph.fileAttachment";
      const content = isFile ? Buffer.from(await api(`${one}/$value`).responseType(ResponseType.ARRAYBUFFER).get()) : "";
      found.push({ name: whole.name, kind: whole["@odata.type"], content: content.toString() });
    }
    return found;
  },

  async mime({ key }) {
    return textOf(Readable.fromWeb(await api(`/messages/${key}/$value`).getStream()));
  },

  async move({ key, folder }) {
    const moved = await api(`/messages/${key}/move`).post({ destinationId: folder });
    return { id: moved.id, folder: moved.parentFolderId };
  },

  async update({ key, categories }) {
    const changed = await api(`/messages/${key}`).patch({ isRead: true, categories });
    return { read: changed.isRead, categories: changed.categories };
  },

  async reply({ key, text }) {
    await api(`/messages/${key}/reply`).post({ comment: text });
  },

  async send({ to, subject, text, file }) {
    const message = {
      subject,
      body: { contentType: "html", content: text },
      toRecipients: [{ emailAddress: { address: to } }],
      internetMessageHeaders: [{ name: "x-made-by", value: "test" }],
      attachments: [
        {
          "@odata.type": "#microsoft.graph.fileAttachment",
          name: "note.txt",
          contentType: "text/plain",
          contentBytes: Buffer.from(file).toString("base64"),
        },
      ],
    };
    await api("/sendMail").post({ message, saveToSentItems: true });
  },

  async draft_with_large_file({ to, subject, size }) {
    const draft = await api("/messages").post({ subject, toRecipients: [{ emailAddress: { address: to } }] });
    const session = await LargeFileUploadTask.createUploadSession(
      client,
      `${user}/messages/${draft.id}/attachments/createUploadSession`,
      { AttachmentItem: { attachmentType: "file", name: "large.bin", size } },
      new Map([["Prefer", IMMUTABLE]]),
    );
    const file = new FileUpload(Buffer.alloc(size, "x"), "large.bin", size);
    await new LargeFileUploadTask(client, file, session, { rangeSize: 4 * 320 * 1024 }).upload();
    await api(`/messages/${draft.id}/send`).post({});
  },

  async batch({ keys }) {
    const steps = keys.map((key, at) => ({ id: `${at}`, request: new Request(`${client.config.baseUrl}${user}/messages/${key}`) }));
    const content = await new BatchRequestContent(steps).getContent();
    const { responses } = await client.api("/$batch").post(content);
    return keys.map((_, at) => responses.find((each) => each.id === `${at}`).status);
  },

  async delete({ key }) {
    await api(`/messages/${key}`).delete();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: verb, ...rest } = JSON.parse(line);
  const said = await verbs[verb](rest).then((answer) => ({ answer: answer ?? null }), (error) => {
    if (!(error instanceof GraphError)) throw error;
    return { status: error.statusCode, code: error.code };
  });
  console.log(JSON.stringify(said));
}
