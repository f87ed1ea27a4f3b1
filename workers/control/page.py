"""The operator's page: three static files and a stream of events.  No build step, nothing from another host."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from workers.control.live import LiveFeed

if TYPE_CHECKING:
    from streams.settings import Settings

STATIC = Path(__file__).parent / "static"

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Names of people come from outside: nothing in them may ever run."""

TYPES = {"index.html": "text/html", "page.js": "text/javascript", "page.css": "text/css"}

KEEP_ALIVE_S = 15.0
"""A line is written at least so often: proxies close silent connections, and a page that went away is noticed."""

Looked = Callable[[web.Request, str], Awaitable[None]]
"""Notes in the audit trail that somebody looked."""


class Page:
    """Routes of the page.  The files name nobody and need no token; the stream is below /api and does."""

    def __init__(self, settings: Settings, looked: Looked) -> None:
        self._feed = LiveFeed(settings)
        self._looked = looked

    def add_to(self, app: web.Application) -> None:
        """Add the routes, and let viewers go when the application stops."""
        app.add_routes([web.get("/", self._file), web.get("/page/{name}", self._file), web.get("/api/live", self._live)])
        app.on_shutdown.append(self._close)

    async def _close(self, _: web.Application) -> None:
        self._feed.close()

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name", "index.html")
        if name not in TYPES:
            raise web.HTTPNotFound
        return web.Response(body=(STATIC / name).read_bytes(), content_type=TYPES[name], charset="utf-8", headers=HEADERS)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        await self._looked(request, "watch")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        async with self._feed.viewer() as viewer:
            while not viewer.closed:
                news = await viewer.take(KEEP_ALIVE_S)
                try:
                    await response.write(f"data: {json.dumps(news)}\n\n".encode() if news else b": still here\n\n")
                except ConnectionError:
                    break  # the page was closed
        return response
