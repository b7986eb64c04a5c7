"""The page, its files, and what browsers are told about them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from voicertc.server import page
from voicertc.server.app import assemble
from voicertc.settings import ServerSection

from .conftest import AiohttpClient, ServerClient
from .endpoints import SilentEndpoint


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<!doctype html><title>mine</title>")
    (tmp_path / "page.js").write_text("export {};")
    return tmp_path


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({}, ""),
        ({"mounted_at": "/agent"}, "/agent"),
        ({"base_path": "/voice"}, "/voice"),
        ({"base_path": "/voice"}, ""),
    ],
)
async def test_the_page_and_its_files_are_served(
    serve: ServerClient, site: Path, keys: dict[str, Any], path: str
) -> None:
    client = await serve(static_dir=site, **keys)
    index = await client.get(f"{path}/")
    assert (index.status, index.content_type) == (200, "text/html")
    assert await index.text() == "<!doctype html><title>mine</title>"
    script = await client.get(f"{path}/static/page.js")
    assert script.status == 200
    assert script.content_type in ("text/javascript", "application/javascript")  # as Python's version has it
    assert (await client.get(f"{path}/static/nothing.js")).status == 404
    assert (await client.get(f"{path}/static/../conftest.py")).status == 404


async def test_the_page_that_comes_along_finds_all_its_files(serve: ServerClient) -> None:
    client = await serve(mounted_at="/agent")
    response = await client.get("/agent/")
    html = await response.text()
    names = re.findall(r'(?:src|href)="([^"#]+)"', html)
    assert names
    for name in names:
        assert not re.match(r"[a-z]+:|/", name), f"{name} is not relative"
        assert (await client.get(f"/agent/{name}")).status == 200, name


async def test_the_page_asks_for_nothing_that_its_own_policy_forbids(serve: ServerClient) -> None:
    client = await serve()
    html = await (await client.get("/")).text()
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=", html)


@pytest.mark.parametrize(
    ("keys", "path", "query", "target"),
    [
        ({"mounted_at": "/agent"}, "/agent", "", "./agent/"),
        ({"mounted_at": "/a/b:c"}, "/a/b:c", "?x=1&y", "./b:c/?x=1&y"),
        ({"base_path": "/voice"}, "/voice", "", "./voice/"),
    ],
)
async def test_the_last_slash_of_a_prefix_is_put_right(
    serve: ServerClient, keys: dict[str, Any], path: str, query: str, target: str
) -> None:
    client = await serve(**keys)
    response = await client.get(path + query, allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (308, target)
    assert (await client.get(path + query)).status == 200


async def test_unchanged_files_are_not_sent_again(serve: ServerClient, site: Path) -> None:
    client = await serve(static_dir=site)
    for path in ("/", "/static/page.js"):
        first = await client.get(path)
        assert first.headers["Cache-Control"] == "no-cache"
        again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")
    (site / "page.js").write_text("export const changed = true;")
    changed = await client.get("/static/page.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (changed.status, await changed.text()) == (200, "export const changed = true;")


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/healthz", "/nothing", "/v1/realtime/calls"])
async def test_every_answer_tells_browsers_to_be_careful(serve: ServerClient, site: Path, path: str) -> None:
    client = await serve(static_dir=site)
    response = await client.get(path)
    for name, value in page.SECURITY_HEADERS.items():
        assert response.headers[name] == value
    assert response.headers["Permissions-Policy"].startswith("microphone=(self)")


async def test_the_application_around_keeps_its_own_headers_and_errors(
    aiohttp_client: AiohttpClient, endpoint: SilentEndpoint
) -> None:
    around = web.Application()
    around.add_subapp("/agent", assemble(endpoint, ServerSection()))
    client = await aiohttp_client(around)
    response = await client.get("/elsewhere")
    assert (response.status, await response.text()) == (404, "404: Not Found")
    assert "Permissions-Policy" not in response.headers


def test_the_page_is_found_in_a_checkout_and_in_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, inside = tmp_path / "static", tmp_path / "voicertc" / "static"
    beside.mkdir()
    inside.mkdir(parents=True)
    monkeypatch.setattr(page, "_BESIDE_PACKAGE", beside)
    monkeypatch.setattr(page, "_IN_PACKAGE", inside)
    assert page.static_directory() == inside  # some other package's static directory lies beside
    (tmp_path / "pyproject.toml").touch()
    assert page.static_directory() == beside
    assert page.static_directory(tmp_path) == tmp_path
