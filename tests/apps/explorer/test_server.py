"""The server: who may talk to it, and what it says when it cannot be had."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from apps.cli.__main__ import main
from apps.explorer.server import make_server
from sorter.core.errors import InputError, WorkFolderError
from tests.workfolders import make_work_folder


def served(work, talk, **options):
    """What ``talk(port)`` returns while the server runs."""

    async def run():
        server, port = make_server(work, 0, **options)
        server.start()
        try:
            return await talk(port)
        finally:
            server.stop()
            server._http.stop()

    # In a thread of its own: the browser tests leave an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(run())).result()


async def page(port, host="localhost"):
    return (
        await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/", headers={"Host": f"{host}:{port}"})
    ).body.decode()


async def socket_status(port, origin):
    """HTTP status of opening the page's websocket from another page's origin: 101 is open."""
    body = await page(port)
    token = body.partition('"token":"')[2].partition('"')[0]
    request = HTTPRequest(f"ws://127.0.0.1:{port}/ws", headers={"Origin": origin})
    try:
        connection = await websocket_connect(request, subprotocols=["bokeh", token])
    except HTTPClientError as error:
        return error.code
    connection.close()
    return 101


def test_page_is_served(made):
    body = served(made, page)
    assert 'data-panel="clusters"' in body and "page.css" not in body and "cdn.bokeh.org" not in body


def test_only_our_own_pages_may_talk(made):
    async def talk(port):
        origins = (
            f"http://localhost:{port}",
            f"http://127.0.0.1:{port}",
            "http://evil.example",
            f"http://evil.example:{port}",
        )
        return [await socket_status(port, origin) for origin in origins]

    assert served(made, talk) == [101, 101, 403, 403]


def test_a_further_origin_can_be_allowed(made):
    async def talk(port):
        return [await socket_status(port, f"http://{host}:{port}") for host in ("beamline", "other")]

    assert served(made, talk, origins=["beamline"]) == [101, 403]


def test_nothing_but_the_page_can_be_reached(made):
    async def talk(port):
        for path in ("/labels.sqlite", "/..%2f..%2fetc/passwd", "/static/../../labels.sqlite", "/work/labels.sqlite"):
            with pytest.raises(HTTPClientError) as error:
                await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}{path}")
            assert error.value.code in (403, 404)

    served(made, talk)


def test_port_taken_is_one_line(made, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["explore", str(made.path), "--port", str(port), "--no-browser"]) == 2
    assert capsys.readouterr().err == (
        f"shotsort explore: port {port}: taken by another program; give --port N, or --port 0 for a free one\n"
    )


def test_bad_ports_and_addresses_are_refused(made):
    with pytest.raises(InputError, match="65535"):
        make_server(made, 70_000)
    with pytest.raises(InputError, match=r"192\.0\.2\.1"):
        make_server(made, 0, address="192.0.2.1")


def test_no_work_folder(tmp_path):
    with pytest.raises(WorkFolderError, match="no such work folder"):
        make_server(tmp_path / "nowhere")


def test_work_folder_without_layout_says_what_to_do(tmp_path):
    work = make_work_folder(tmp_path, n=30, results=False)
    body = served(work, page)
    assert f"shotsort cluster {work.path}" in body and 'data-panel="clusters"' not in body


def test_without_the_token_nothing_is_shown(work_to_serve):
    async def talk(port):
        client, url = AsyncHTTPClient(), f"http://127.0.0.1:{port}/"
        asked = await client.fetch(url)
        assert "token" in asked.effective_url or "asks for a token" in asked.body.decode()
        assert "frames" not in asked.body.decode()
        with pytest.raises(HTTPClientError, match="403"):
            await client.fetch(url + "login", method="POST", body="token=wrong")
        let_in = await client.fetch(url + "?token=secret-word")
        cookie = let_in.headers["Set-Cookie"]
        assert "secret-word" not in cookie and "HttpOnly" in cookie and 'id="page"' in let_in.body.decode()
        again = await client.fetch(url, headers={"Cookie": cookie.split(";")[0]})
        assert 'id="page"' in again.body.decode()
        request = HTTPRequest(f"ws://127.0.0.1:{port}/ws", headers={"Origin": f"http://localhost:{port}"})
        assert await (await websocket_connect(request)).read_message() is None, "closed before a word is said"

    served(work_to_serve, talk, token="secret-word")


def test_a_short_token_is_refused(work_to_serve, capsys):
    assert main(["explore", str(work_to_serve.path), "--token", "abc", "--no-browser"]) == 2
    assert "six characters" in capsys.readouterr().err


@pytest.fixture(scope="module")
def work_to_serve(tmp_path_factory):
    return make_work_folder(tmp_path_factory.mktemp("token"), n=40)
