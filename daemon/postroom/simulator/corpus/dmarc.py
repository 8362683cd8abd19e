"""DMARC aggregate reports, zipped and gzipped, as receivers send them every night (RFC 7489, section 7.2)."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from postroom.simulator.corpus.desk import OWN_DOMAIN, DemoMail, Desk

COUNT = 18
_RECEIVERS = ("receiver.example", "mailbox.example", "post.example")


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield the reports; every third is gzipped, the others zipped."""
    for index in range(COUNT):
        receiver = _RECEIVERS[index % len(_RECEIVERS)]
        identifier = desk.word()
        subject = f"Report Domain: {OWN_DOMAIN} Submitter: {receiver} Report-ID: <{identifier}>"
        message = desk.letter("dmarc", ("DMARC reports", f"noreply-dmarc@{receiver}"), subject)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content("This is an aggregate report.\n")
        begin = int((desk.now - desk.age).timestamp()) // 86_400 * 86_400
        name = f"{receiver}!{OWN_DOMAIN}!{begin - 86_400}!{begin - 1}"
        xml = _report(desk, receiver, identifier, begin)
        if index % 3 == 0:
            desk.attach(message, gzip.compress(xml, mtime=0), "application/gzip", f"{name}.xml.gz")
        else:
            desk.attach(message, _zip(f"{name}.xml", xml), "application/zip", f"{name}.zip")
        yield desk.post("dmarc", message, "dmarc")


def _report(desk: Desk, receiver: str, identifier: str, begin: int) -> bytes:
    feedback = ET.Element("feedback")
    about = ET.SubElement(feedback, "report_metadata")
    _texts(about, org_name=receiver, email=f"noreply-dmarc@{receiver}", report_id=identifier)
    _texts(ET.SubElement(about, "date_range"), begin=begin - 86_400, end=begin - 1)
    policy = ET.SubElement(feedback, "policy_published")
    _texts(policy, domain=OWN_DOMAIN, adkim="r", aspf="r", p="quarantine", sp="none", pct=100)
    for host in range(1, desk.chance.randrange(2, 7)):
        _record(desk, ET.SubElement(feedback, "record"), f"192.0.2.{host}")
    xml: bytes = ET.tostring(feedback, encoding="UTF-8", xml_declaration=True)
    return xml


def _record(desk: Desk, record: ET.Element, address: str) -> None:
    verdict = desk.chance.choice(("pass", "pass", "fail"))
    row = ET.SubElement(record, "row")
    _texts(row, source_ip=address, count=desk.chance.randrange(1, 400))
    disposition = "none" if verdict == "pass" else "quarantine"
    _texts(ET.SubElement(row, "policy_evaluated"), disposition=disposition, dkim=verdict, spf=verdict)
    _texts(ET.SubElement(record, "identifiers"), header_from=OWN_DOMAIN)
    _texts(ET.SubElement(ET.SubElement(record, "auth_results"), "spf"), domain=OWN_DOMAIN, result=verdict)


def _texts(parent: ET.Element, **values: object) -> None:
    for name, value in values.items():
        ET.SubElement(parent, name).text = str(value)


def _zip(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2026, 3, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
