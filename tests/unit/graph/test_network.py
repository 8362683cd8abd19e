from __future__ import annotations

from pathlib import Path

import pytest

from postroom.graph.network import authorities, is_loopback, proxy_for, tls_context
from postroom.tenant import CLOUDS, Cloud

GRAPH = "https://graph.microsoft.com"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_without_any_word_there_is_no_proxy():
    assert proxy_for(GRAPH) == ""


def test_the_environment_names_the_proxy_and_its_exceptions(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert proxy_for(GRAPH) == "http://proxy.example:3128"
    monkeypatch.setenv("NO_PROXY", "other.example,.microsoft.com")
    assert proxy_for(GRAPH) == ""


def test_a_configured_proxy_wins(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://environment.example")
    monkeypatch.setenv("NO_PROXY", "*")
    assert proxy_for(GRAPH, "http://configured.example") == "http://configured.example"


def test_this_machine_is_never_asked_for_by_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    assert proxy_for("https://127.0.0.1:8443", "http://configured.example") == ""


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("10.0.0.1", False),
     ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_rest(host, loopback):
    assert is_loopback(host) is loopback


def test_the_clouds_own_authorities_count_alone(ca_file):
    cloud = Cloud("test", "https://login", "https://graph", ca_file=ca_file)
    assert authorities(cloud) == ca_file
    assert len(tls_context(cloud).get_ca_certs()) == 1


def test_otherwise_the_systems_are_trusted():
    found = authorities(CLOUDS["global"])
    assert isinstance(found, Path)
    assert found.exists()
    assert tls_context(CLOUDS["global"])
