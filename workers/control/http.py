"""The HTTP API: JSON, a bearer token when one is set, loopback only when none is.  It publishes commands like any other client."""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams import topics
from streams.clients import read_partitions
from streams.deadletter import list_letters, replay_letters
from streams.errors import BadMessage, Misconfigured, Refused, Unavailable
from streams.messages import AuditEntry
from workers.control.client import ask
from workers.control.export import export_lines, import_templates, parse_lines, subjects_of

if TYPE_CHECKING:
    from streams.messages.commands import CommandKind
    from streams.settings import Settings
    from workers.control.state import Control

MAX_BODY_BYTES = 4_000_000
REPLY_WITHIN_S = 30.0


class Api:
    """Routes and their checks.  `start` listens; raises Misconfigured for a public address without a token."""

    def __init__(self, settings: Settings, control: Control) -> None:
        self.settings, self.control = settings, control
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on api_host and api_port."""
        if self.settings.api_token is None and not _is_loopback(self.settings.api_host):
            raise Misconfigured(f"api_host {self.settings.api_host} is not loopback: set GAITSTREAM_API_TOKEN first")
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/subjects", self._subjects),
                web.get("/api/subjects/{subject}", self._subject),
                web.delete("/api/subjects/{subject}", self._erase),
                web.post("/api/subjects/{subject}/rename", self._rename),
                web.post("/api/subjects/{subject}/merge", self._merge),
                web.post("/api/subjects/{subject}/consent", self._consent),
                web.post("/api/enrol", self._enrol),
                web.get("/api/export", self._export),
                web.post("/api/import", self._import),
                web.get("/api/audit", self._audit),
                web.get("/api/deadletters", self._letters),
                web.post("/api/deadletters/replay", self._replay),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.settings.api_host, self.settings.api_port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Token first, then every error as JSON with the right status."""
        try:
            if request.path.startswith("/api/") and not self._allowed(request):
                return _error(401, "a bearer token is needed", "unauthorised")
            return await handler(request)
        except web.HTTPException as error:
            return _error(error.status, error.reason, "http")
        except (json.JSONDecodeError, UnicodeDecodeError):
            return _error(400, "the body is not JSON", "body")
        except (Refused, BadMessage, ValueError) as error:
            return _error(409, str(error), getattr(error, "reason", "refused"))
        except Unavailable as error:
            return _error(202, str(error), "pending")

    def _allowed(self, request: web.Request) -> bool:
        if self.settings.api_token is None:
            return True
        wanted = f"Bearer {self.settings.api_token.get_secret_value()}"
        return hmac.compare_digest(request.headers.get("Authorization", "").encode(), wanted.encode())

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"role": "control"})

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self.control.ready()
        return web.json_response({"role": "control", "ready": missing is None, "missing": missing}, status=503 if missing else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _subjects(self, request: web.Request) -> web.Response:
        await self._looked(request, "list", None)
        return web.json_response(subjects_of(self.control.current()))

    async def _subject(self, request: web.Request) -> web.Response:
        subject = request.match_info["subject"]
        await self._looked(request, "show", subject)
        found = [row for row in subjects_of(self.control.current()) if row["subject"] == subject]
        if not found:
            return _error(404, f"nobody is enrolled as {subject}", "refused")
        return web.json_response(found[0])

    async def _erase(self, request: web.Request) -> web.Response:
        return await self._command(request, "erase", request.match_info["subject"], {})

    async def _rename(self, request: web.Request) -> web.Response:
        return await self._command(request, "rename", request.match_info["subject"], await request.json())

    async def _merge(self, request: web.Request) -> web.Response:
        return await self._command(request, "merge", request.match_info["subject"], await request.json())

    async def _consent(self, request: web.Request) -> web.Response:
        return await self._command(request, "consent", request.match_info["subject"], await request.json())

    async def _enrol(self, request: web.Request) -> web.Response:
        arguments = dict(await request.json())
        return await self._command(request, "enrol", str(arguments.pop("subject", "")), arguments)

    async def _export(self, request: web.Request) -> web.Response:
        await self._looked(request, "export", None)
        return web.Response(text="".join(line + "\n" for line in export_lines(self.control.current())), content_type="application/x-ndjson")

    async def _import(self, request: web.Request) -> web.Response:
        space = None if request.query.get("force") == "true" else self.control.space
        templates = parse_lines(await request.text(), space)
        await import_templates(self.settings, templates, self._actor(request))
        return web.json_response({"templates": len(templates), "subjects": len({t.subject for t in templates})})

    async def _audit(self, request: web.Request) -> web.Response:
        rows = [AuditEntry.from_bytes(record.value).model_dump() async for record in read_partitions(self.settings, topics.AUDIT.name)]
        return web.json_response(rows[-int(request.query.get("limit", "200")) :])

    async def _letters(self, request: web.Request) -> web.Response:
        letters = await list_letters(self.settings, reason=request.query.get("reason"), limit=int(request.query.get("limit", "100")))
        return web.json_response([{k: v for k, v in asdict(letter).items() if k not in ("key", "value")} for letter in letters])

    async def _replay(self, request: web.Request) -> web.Response:
        places = (await request.json()).get("places")
        if not isinstance(places, list) or not places:
            raise Refused("places: a list of PARTITION:OFFSET is needed")
        await self._looked(request, "replay", None)
        return web.json_response([letter.place for letter in await replay_letters(self.settings, [str(p) for p in places])])

    async def _command(self, request: web.Request, kind: CommandKind, subject: str, arguments: Any) -> web.Response:
        if not isinstance(arguments, dict):
            raise Refused("the body must be a JSON object")
        reply = await ask(self.settings, kind, subject, self._actor(request), arguments, timeout_s=REPLY_WITHIN_S)
        if not reply.ok:
            return _error(409, reply.error, "refused")
        return web.json_response({"command_id": reply.command_id, **reply.result})

    async def _looked(self, request: web.Request, action: str, subject: str | None) -> None:
        await self.control.audit(self._actor(request), action, subject, "done")

    def _actor(self, request: web.Request) -> str:
        return f"http:{request.remote or 'unknown'}"


def _error(status: int, text: str, reason: str) -> web.Response:
    return web.json_response({"error": text, "reason": reason}, status=status)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
