"""The operator's page: four static files, a stream of events, and the pictures that the stream tells of.  No build step, nothing from another host."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from streams.errors import BadMessage
from workers.control.live import LiveFeed

if TYPE_CHECKING:
    from streams.settings import Settings

log = structlog.get_logger()

STATIC = Path(__file__).parent / "static"

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Names of people come from outside: nothing in them may ever run."""

PICTURE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of people's pictures: they stay in no cache and go to no other site."""

TYPES = {"index.html": "text/html", "page.js": "text/javascript", "cameras.js": "text/javascript", "page.css": "text/css"}

MOST_NAME_CHARACTERS = 128

KEEP_ALIVE_S = 15.0
"""A line is written at least so often: proxies close silent connections, and a page that went away is noticed."""

Looked = Callable[[web.Request, str], Awaitable[None]]
"""Notes in the audit trail that somebody looked."""

Actor = Callable[[web.Request], str]
"""Who asks."""


class Page:
    """Routes of the page.  The files name nobody and need no token; the stream is below /api and does."""

    def __init__(self, settings: Settings, looked: Looked, actor: Actor) -> None:
        self._feed = LiveFeed(settings)
        self._looked, self._actor = looked, actor
        self._watching: Counter[str] = Counter()

    def add_to(self, app: web.Application) -> None:
        """Add the routes, and let viewers go when the application stops."""
        app.add_routes(
            [
                web.get("/", self._file),
                web.get("/page/{name}", self._file),
                web.get("/api/live", self._live),
                web.get("/api/cameras/picture", self._picture),
            ]
        )
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
        async with self._feed.viewer() as viewer, self._counted(self._actor(request)):
            while not viewer.closed:
                news = await viewer.take(KEEP_ALIVE_S)
                try:
                    await response.write(f"data: {json.dumps(news)}\n\n".encode() if news else b": still here\n\n")
                except ConnectionError:
                    break  # the page was closed
        return response

    @asynccontextmanager
    async def _counted(self, actor: str) -> AsyncIterator[None]:
        self._watching[actor] += 1
        try:
            yield
        finally:
            self._watching[actor] -= 1
            self._watching += Counter()  # drops who has left

    async def _picture(self, request: web.Request) -> web.Response:
        """`?camera=ID&time_ns=T`: the picture that the stream told of.  Whoever watches is in the audit trail once for all pictures;
        others are for each.  The camera is no part of the path: ids may be `..`."""
        camera, text = request.query.get("camera", ""), request.query.get("time_ns", "")
        if not camera or len(camera) > MOST_NAME_CHARACTERS or not re.fullmatch("[0-9]{1,19}", text):
            raise web.HTTPBadRequest(reason="camera and time_ns, in digits, are needed")
        if not self._watching[self._actor(request)]:
            await self._looked(request, "look at picture")
        try:
            content = await self._feed.cameras.picture(camera, int(text))
        except KeyError:
            raise web.HTTPNotFound(reason="no such picture is shown now") from None
        except BadMessage as error:
            log.warning("a claimed picture cannot be shown", camera=camera, error=str(error))
            raise web.HTTPNotFound(reason="the claimed picture cannot be had") from None
        return web.Response(body=content, content_type="image/jpeg", headers=PICTURE_HEADERS)
