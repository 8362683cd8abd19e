"""Microsoft Graph and Entra: the adapter behind `ports.Mail` and `ports.Token`.

`client.GraphClient` talks HTTP, `token.TokenSource` signs in, `mail.MailboxMail` reads and writes one mailbox.
"""
