"""Single faults that the start page offers by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "429 throttled": {
            "effect": "graph_error",
            "status": 429,
            "code": "ApplicationThrottled",
            "retry_after": 5,
            "path": "/v1.0/*",
        },
        "503 unavailable": {
            "effect": "graph_error",
            "status": 503,
            "code": "ServiceUnavailable",
            "path": "/v1.0/*",
        },
        "410 delta link void": {
            "effect": "graph_error",
            "status": 410,
            "code": "SyncStateNotFound",
            "path": "/v1.0/*/messages/*delta*",
        },
        "403 access denied": {
            "effect": "graph_error",
            "status": 403,
            "code": "ErrorAccessDenied",
            "path": "/v1.0/*",
        },
        "403 mailbox full": {
            "effect": "graph_error",
            "status": 403,
            "code": "ErrorQuotaExceeded",
            "path": "/v1.0/*/messages/*delta*",
        },
        "401 stale token": {
            "effect": "graph_error",
            "status": 401,
            "code": "InvalidAuthenticationToken",
            "path": "/v1.0/*",
        },
        "sign-in throttled": {"effect": "entra_error", "code": 90055, "path": "*/oauth2/v2.0/token"},
        "sign-in unavailable": {"effect": "entra_error", "code": 90033, "path": "*/oauth2/v2.0/token"},
        "502 HTML page": {"effect": "html_page", "status": 502},
        "connection reset": {"effect": "reset"},
        "reset after the work": {"effect": "reset", "serve": True},
        "truncated body": {"effect": "truncated"},
        "stalled read": {"effect": "stalled", "seconds": 60, "part": 0.5},
        "late answer": {"effect": "delayed", "seconds": 5},
    }
)
"""By name: a fault as `effect_json.fault_from` reads it."""
