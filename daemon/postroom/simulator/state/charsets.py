"""Turns the bytes of a stranger's mail into text that JSON can carry; nothing in here raises."""

from __future__ import annotations

import binascii
import codecs
import re

_ENCODED_WORD = re.compile(r"=\?([^?\s*]{1,60})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(=\?[^?\s]{1,80}\?[bBqQ]\?[^?]*\?=)[ \t\r\n]+(?==\?[^?\s]{1,80}\?[bBqQ]\?)")
_NO_CHARSETS = frozenset({"unicode-escape", "raw-unicode-escape", "idna", "punycode"})
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")


def decode_text(data: bytes, charset: str = "") -> str:
    """Decode by the named charset, else as UTF-8, else as Windows-1252, with replacement characters where it must."""
    known = _known(charset)
    for name, errors in ((known or "utf-8", "strict"), ("utf-8", "strict"), (known or "cp1252", "replace")):
        try:
            return _clean(data.decode(name, errors))
        except (LookupError, ValueError):
            continue
    return data.decode("cp1252", "replace")


def _known(charset: str) -> str:
    """Return the codec of a charset, or empty: Python has stranger codecs than mail has."""
    try:
        codec = codecs.lookup(charset).name if charset else ""
    except (LookupError, ValueError):
        return ""
    return "" if codec.replace("_", "-") in _NO_CHARSETS else codec


def _clean(text: str) -> str:
    """Replace lone surrogates, which some codecs let through and JSON cannot carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def decode_base64(data: bytes) -> bytes:
    """Decode base64, leaving out what is not of its alphabet and what an incomplete end lacks."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        letters = _NOT_BASE64.sub(b"", data)
        whole = letters[: len(letters) - (len(letters) % 4 == 1)]
        return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def decode_transfer(data: bytes, encoding: str) -> bytes:
    """Undo a Content-Transfer-Encoding; an unknown one leaves the bytes as they are."""
    if encoding == "base64":
        return decode_base64(data)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(data)
    return data


def decode_words(value: str) -> str:
    """Decode the encoded words of a header value (RFC 2047)."""
    if "=?" not in value:
        return value
    return _ENCODED_WORD.sub(_decode_word, _BETWEEN_WORDS.sub(r"\1", value))


def _decode_word(match: re.Match[str]) -> str:
    charset, how, text = match.groups()
    data = text.encode("utf-8", "replace")
    if how in "bB":
        return decode_text(decode_base64(data), charset)
    return decode_text(binascii.a2b_qp(data, header=True), charset)
