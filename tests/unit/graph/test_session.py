from __future__ import annotations

import ssl

import pytest
from aiohttp import web

from postroom.graph.session import Limits, graph_session, handler_session


@pytest.fixture
async def proxy(kit, monkeypatch):
    """A proxy that the environment names for everything; it answers by itself and notes what it was asked for."""
    asked = []

    async def answer(request):
        asked.append(
            (request.raw_path, request.headers.get("Authorization"), request.headers.get("Proxy-Authorization"))
        )
        return web.Response(text="by proxy")

    async with kit.serving(answer) as port:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.setenv("http_proxy", f"http://user:word@127.0.0.1:{port}")
        yield asked


@pytest.fixture
async def session():
    async with handler_session() as opened:
        yield opened


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_call_to_this_machine_never_goes_through_a_proxy(proxy, session, kit, host):
    async def answer(request):
        return web.Response(text="direct")

    async with kit.serving(answer) as port, session.post(f"http://{host}:{port}/hook", data=b"mail") as response:
        assert await response.text() == "direct"
    assert proxy == []


async def test_other_hosts_are_reached_through_the_environments_proxy(proxy, session):
    async with session.post("http://receiver.invalid/hook", data=b"mail") as response:
        assert await response.text() == "by proxy"
    assert [path for path, _, _ in proxy] == ["http://receiver.invalid/hook"]
    assert proxy[0][2] is not None, "the proxy's own user and password are sent to it"


async def test_a_redirect_from_this_machine_to_another_goes_through_the_proxy(proxy, session, kit):
    async def answer(request):
        raise web.HTTPFound("http://receiver.invalid/there")

    async with kit.serving(answer) as port, session.get(f"http://127.0.0.1:{port}/here") as response:
        assert await response.text() == "by proxy"
    assert [path for path, _, _ in proxy] == ["http://receiver.invalid/there"]


async def test_no_password_is_taken_from_netrc(proxy, session, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine receiver.invalid login user password word\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with session.get("http://receiver.invalid/hook") as response:
        await response.read()
    assert [authorization for _, authorization, _ in proxy] == [None]


async def test_a_proxy_that_is_no_http_proxy_is_left_alone(proxy, session, monkeypatch):
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
    monkeypatch.delenv("http_proxy")
    with pytest.raises(OSError, match=r"receiver\.invalid"):
        await session.get("http://receiver.invalid/hook")


async def test_when_a_session_is_closed_no_connection_of_single_use_is_open(kit, server_tls, ca_file):
    async def answer(request):
        return web.Response(body=b"x" * 2**22)  # so much that it has not all come with the head

    trust = ssl.create_default_context(cafile=ca_file)
    session = graph_session(trust, Limits(), user_agent="x", reuse=False)
    async with kit.serving(answer, server_tls) as port, session.get(f"https://127.0.0.1:{port}/") as response:
        closed = response.connection.protocol.closed
        await response.read()
        assert not closed.done(), "TLS says goodbye first"
        await session.close()
        assert closed.done()
