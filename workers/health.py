"""Every worker's `/metrics`, `/healthz` and `/readyz`.  Health follows progress, not the process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

STUCK_AFTER_S = 60.0
"""A loop that has not gone round for this long is stuck: longer than any forward pass of a full batch."""


class Health:
    """Progress of one worker and the HTTP endpoints that show it."""

    def __init__(self, role: str, ready: Callable[[], str | None]) -> None:
        self.role, self._ready = role, ready
        self._last_progress = time.monotonic()
        self._runner: web.AppRunner | None = None
        self.port = 0

    def progress(self) -> None:
        """The loop went round."""
        self._last_progress = time.monotonic()
        metrics.LAST_PROGRESS.labels(self.role).set_to_current_time()

    async def serve(self, host: str, port: int) -> None:
        """Listen; `port` 0 picks a free one, which is then in `self.port`."""
        app = web.Application()
        app.add_routes(
            [web.get("/metrics", self._metrics), web.get("/healthz", self._healthz), web.get("/readyz", self._readyz)],
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        age_s = time.monotonic() - self._last_progress
        stuck = age_s > STUCK_AFTER_S
        return web.json_response({"role": self.role, "progress_age_s": round(age_s, 3), "stuck": stuck}, status=503 if stuck else 200)

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self._ready()
        return web.json_response({"role": self.role, "ready": missing is None, "missing": missing}, status=503 if missing else 200)
