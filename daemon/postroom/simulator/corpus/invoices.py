"""Invoices, each with a PDF that a reader opens."""

from __future__ import annotations

from collections.abc import Iterator

from postroom.simulator.corpus.desk import SUPPLIERS, DemoMail, Desk

COUNT = 40


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield the invoices; every eighth has its terms as a second file."""
    for index in range(COUNT):
        name, address = SUPPLIERS[index % len(SUPPLIERS)]
        number = f"{2026_0000 + index}"
        amount = f"{desk.chance.randrange(1_000, 900_000) / 100:,.2f} EUR"
        message = desk.letter("invoices", (name, address), f"Invoice {number} from {name}")
        message.set_content(f"Dear customer,\n\nplease find invoice {number} over {amount} attached.\n\n{name}\n")
        lines = [f"Invoice {number}", name.encode("ascii", "replace").decode(), f"Amount due: {amount}"]
        desk.attach(message, pdf(lines), "application/pdf", f"invoice-{number}.pdf")
        if index % 8 == 0:
            desk.attach(message, b"Payable within 30 days.\r\n", "application/octet-stream", "terms.txt")
        yield desk.post("invoices", message, "invoice")


def pdf(lines: list[str]) -> bytes:
    """Return a one-page PDF 1.4 with these lines of text (ISO 32000-1, sections 7.5 and 9.4)."""
    shown = " T* ".join(f"({line.translate(_ESCAPES)}) Tj" for line in lines)
    stream = f"BT /F1 14 Tf 72 760 Td 22 TL {shown} ET".encode("ascii", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R %b >>" % _FONTS,
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    return _assemble(objects)


_FONTS = b"/Resources << /Font << /F1 5 0 R >> >>"
_ESCAPES = str.maketrans({"(": r"\(", ")": r"\)", "\\": r"\\"})


def _assemble(objects: list[bytes]) -> bytes:
    """Number the objects and write the cross-reference table that points at each."""
    body, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table) + trailer
