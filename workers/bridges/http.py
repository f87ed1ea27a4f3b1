"""Phones push over HTTP: `POST /push` with a bearer token, answered when Kafka has the samples.

200 {"samples": 50, "left_out": 0}    published; 0 samples for a message without inertial readings
400, 413, 422 {"error", "reason"}     cannot be used: sending it again does not help
401, 403, 415                         no valid token; another address than loopback without a token; not JSON
429, 503 with Retry-After             as many chunks as allowed are on their way, or Kafka does not answer: send it again
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from streams import metrics
from streams.errors import BadMessage, Misconfigured, SchemaMismatch, Unavailable, Undecodable
from workers.bridges.payload import MOST_BYTES, read_push
from workers.bridges.publisher import Busy, Publisher
from workers.control.guard import check_token, error_response, is_loopback
from workers.control.roles import FailureLimit, Tokens
from workers.health import Health

if TYPE_CHECKING:
    from streams.settings import Settings

log = structlog.get_logger()

ROLE = "bridge-http"
RETRY_AFTER_S = 1


class HttpBridge:
    """The server for devices; `health` has its /metrics, /healthz and /readyz, on a port that devices need not reach."""

    def __init__(self, settings: Settings) -> None:
        """Raises Misconfigured when everybody on the network could publish samples."""
        self.settings = settings
        token = settings.bridge_token
        if token is None and not is_loopback(settings.bridge_host):
            raise Misconfigured(f"bridge_host {settings.bridge_host} is not loopback: set GAITSTREAM_BRIDGE_TOKEN first")
        own = {"api_token": token, "api_tokens": None, "api_tokens_file": None}
        self._tokens, self._limit = Tokens(settings.model_copy(update=own)), FailureLimit()
        self.publisher = Publisher(settings, settings.bridge_max_in_flight, ROLE)
        self.health = Health(ROLE, self._missing)
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Connect to Kafka and listen; the port is then in `self.port`.  Raises KafkaError, OSError."""
        await self.publisher.start()
        app = web.Application(client_max_size=MOST_BYTES)
        app.add_routes([web.post("/push", self._push)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.settings.bridge_host, self.settings.bridge_port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening, answer what is being answered, deliver what is in flight."""
        if self._runner:
            await self._runner.cleanup()
        await self.publisher.stop()

    def pulse(self) -> None:
        """The event loop goes round."""
        self.health.progress()

    def _missing(self) -> str | None:
        return "Kafka takes no samples" if self.publisher.failed else None

    async def _push(self, request: web.Request) -> web.Response:
        try:
            self._check(request)
            if self.publisher.full:  # before the body is read and decoded
                raise Busy("as many samples as allowed are on their way to Kafka: try again in a moment")
            push = read_push(await request.read(), clock_ahead_s=self.settings.clock_ahead_s)
            await self.publisher.publish(push.chunks)
        except BadMessage as error:
            return self._rejected(error)
        except Unavailable as error:
            metrics.MESSAGES.labels(ROLE, "postponed").inc()
            response = error_response(429 if isinstance(error, Busy) else 503, str(error), error.reason)
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
            return response
        except web.HTTPRequestEntityTooLarge:
            return self._rejected(Undecodable(f"a push has at most {MOST_BYTES} bytes", reason="too_large"))
        except web.HTTPException as error:
            metrics.MESSAGES.labels(ROLE, "refused").inc()
            response = error_response(error.status, error.reason, "http")
            response.headers.update({name: error.headers[name] for name in ("Retry-After", "WWW-Authenticate") if name in error.headers})
            return response
        metrics.MESSAGES.labels(ROLE, "used").inc()
        return web.json_response({"samples": sum(len(chunk.acc) for chunk in push.chunks), "left_out": push.left_out})

    def _check(self, request: web.Request) -> None:
        if self._tokens:
            check_token(request, self._tokens, self._limit)
        elif not is_loopback(re.sub(r":\d+$", "", request.host).strip("[]")):  # a web page must not push by a name that resolves here
            raise web.HTTPForbidden(reason="without a token the bridge answers to a loopback address only")
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(reason="the body must be application/json")

    def _rejected(self, error: BadMessage) -> web.Response:
        metrics.MESSAGES.labels(ROLE, "rejected").inc()
        log.info("a push cannot be used", reason=error.why, path=error.path, error=str(error))
        status = 413 if error.why == "too_large" else 400 if isinstance(error, Undecodable | SchemaMismatch) else 422
        return error_response(status, str(error), error.why, path=error.path)
