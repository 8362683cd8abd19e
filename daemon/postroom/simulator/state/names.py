"""What the folders every mailbox has are called in the languages a mailbox may speak.

Graph's well-known names are the same everywhere; the display name is in the owner's language (GD21
resources/mailfolder.md).
"""

from __future__ import annotations

from collections.abc import Mapping

_KEYS = (
    "archive", "conversationhistory", "deleteditems", "drafts", "inbox", "junkemail", "outbox", "sentitems",
    "syncissues", "conflicts", "localfailures", "serverfailures",
)  # fmt: skip

_TRANSLATIONS = {
    "de": "Archiv|Aufgezeichnete Unterhaltungen|Gelöschte Elemente|Entwürfe|Posteingang|Junk-E-Mail|Postausgang|"
    "Gesendete Elemente|Synchronisierungsprobleme|Konflikte|Lokale Fehler|Serverfehler",
    "es": "Archivo|Historial de conversaciones|Elementos eliminados|Borradores|Bandeja de entrada|Correo no deseado|"
    "Bandeja de salida|Elementos enviados|Problemas de sincronización|Conflictos|Errores locales|"
    "Errores del servidor",
    "fr": "Archive|Historique des conversations|Éléments supprimés|Brouillons|Boîte de réception|"
    "Courrier indésirable|Boîte d'envoi|Éléments envoyés|Problèmes de synchronisation|Conflits|Échecs locaux|"
    "Échecs du serveur",
    "ja": "アーカイブ|会話の履歴|削除済みアイテム|下書き|受信トレイ|迷惑メール|送信トレイ|送信済みアイテム|"
    "同期の失敗|競合|ローカル エラー|サーバー エラー",
    "nl": "Archief|Gespreksgeschiedenis|Verwijderde items|Concepten|Postvak IN|Ongewenste e-mail|Postvak UIT|"
    "Verzonden items|Synchronisatieproblemen|Conflicten|Lokale fouten|Serverfouten",
}

LANGUAGES = ("en", *sorted(_TRANSLATIONS))
"""Languages a mailbox may speak."""


def folder_names(language: str) -> Mapping[str, str]:
    """Return display names by well-known name where they differ from English; raises ValueError for a language."""
    if language == "en":
        return {}
    if language not in _TRANSLATIONS:
        raise ValueError(f"A mailbox cannot speak {language[:20]!r}; it may speak {', '.join(LANGUAGES)}.")
    return dict(zip(_KEYS, _TRANSLATIONS[language].split("|"), strict=True))
