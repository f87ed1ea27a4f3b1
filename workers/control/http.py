"""The HTTP API: JSON, a bearer token when one is set, loopback only when none is.  It publishes commands like any other client."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams import topics
from streams.clients import read_partitions
from streams.deadletter import Letter, list_letters, replay_letters
from streams.errors import BadMessage
from streams.messages import AuditEntry
from workers.control.client import Correspondent, command_of
from workers.control.export import export_lines, import_templates, parse_lines, subjects_of
from workers.control.guard import Guard, check_exposure, error_response, json_body, limit_of, text_body
from workers.control.page import Page
from workers.control.refusal import STATUS, Refusal

if TYPE_CHECKING:
    from streams.messages.commands import CommandKind
    from streams.settings import Settings
    from workers.control.gallery import GalleryView
    from workers.control.health import ControlHealth
    from workers.control.writer import Writer

MAX_BODY_BYTES = 64_000
MAX_IMPORT_BYTES = 256_000_000
"""Some 150,000 templates of 256 floats."""

REPLY_WITHIN_S = 30.0
"""Then 202 with the command's id: it is still carried out."""


class Api:
    """Routes.  Every look at people is in the audit trail, every change is a command.

    What takes seconds with 100,000 templates runs in a thread: the event loop also keeps the group membership.
    """

    def __init__(self, settings: Settings, view: GalleryView, writer: Writer, health: ControlHealth, spaces: set[str]) -> None:
        self.settings, self._view, self._writer, self._health, self._spaces = settings, view, writer, health, spaces
        self._guard = Guard(settings)
        self._stack = AsyncExitStack()
        self._correspondent = Correspondent(settings)

    async def start(self) -> None:
        """Listen on api_host and api_port.  Raises Misconfigured for a public address without a token."""
        check_exposure(self.settings)
        await self._stack.enter_async_context(self._correspondent)
        runner = web.AppRunner(self.application(), access_log=None)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self.settings.api_host, self.settings.api_port).start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._stack.aclose()

    def application(self) -> web.Application:
        """Every route with its checks."""
        app = web.Application(client_max_size=MAX_IMPORT_BYTES, middlewares=[self._guard.middleware])
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/subjects", self._subjects),
                web.get("/api/subjects/{subject}", self._subject),
                web.delete("/api/subjects/{subject}", self._erase),
                web.post("/api/subjects/{subject}/reseal", self._reseal),
                web.post("/api/subjects/{subject}/{kind:rename|merge|consent}", self._change),
                web.post("/api/enrol", self._enrol),
                web.get("/api/export", self._export),
                web.post("/api/import", self._import),
                web.get("/api/audit", self._audit),
                web.get("/api/deadletters", self._letters),
                web.post("/api/deadletters/replay", self._replay),
            ]
        )
        Page(self.settings, self._looked, self._guard.actor).add_to(app)
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        stuck = self._health.stuck()
        fields = {"role": "control", "progress_age_s": round(self._health.age_s(), 3), "stuck": stuck}
        return web.json_response(fields, status=503 if stuck else 200)

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self._health.missing()
        return web.json_response({"role": "control", "ready": missing is None, "missing": missing}, status=503 if missing else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _subjects(self, request: web.Request) -> web.Response:
        await self._view.caught_up()
        await self._looked(request, "list")
        return web.json_response(await asyncio.to_thread(subjects_of, self._view.current()))

    async def _subject(self, request: web.Request) -> web.Response:
        subject = _subject_of(request)
        await self._view.caught_up()
        await self._looked(request, "show", subject)
        found = subjects_of(t for t in self._view.templates.values() if t.subject == subject)
        if not found:
            raise Refusal(f"nobody is enrolled as {subject}", "unknown_subject")
        return web.json_response(found[0])

    async def _erase(self, request: web.Request) -> web.Response:
        arguments = {"cut": True} if request.query.get("cut") == "true" else {}
        return await self._command(request, "erase", _subject_of(request), arguments)

    async def _change(self, request: web.Request) -> web.Response:
        kind: Any = request.match_info["kind"]
        return await self._command(request, kind, _subject_of(request), await json_body(request, MAX_BODY_BYTES))

    async def _reseal(self, request: web.Request) -> web.Response:
        return await self._command(request, "reseal", _subject_of(request), {})

    async def _enrol(self, request: web.Request) -> web.Response:
        arguments = await json_body(request, MAX_BODY_BYTES)
        subject = arguments.pop("subject", None)
        if not isinstance(subject, str):
            raise Refusal("subject: a name is needed", "arguments")
        return await self._command(request, "enrol", subject, arguments)

    async def _export(self, request: web.Request) -> web.Response:
        await self._view.caught_up()
        await self._looked(request, "export")
        lines = await asyncio.to_thread(export_lines, self._view.current())
        return web.Response(text="".join(line + "\n" for line in lines), content_type="application/x-ndjson")

    async def _import(self, request: web.Request) -> web.Response:
        spaces = None if request.query.get("force") == "true" else self._spaces
        templates = await asyncio.to_thread(parse_lines, await text_body(request, MAX_IMPORT_BYTES), spaces)
        await import_templates(self.settings, templates, self._guard.actor(request))
        await self._view.caught_up()
        return web.json_response({"templates": len(templates), "subjects": len({t.subject for t in templates})})

    async def _audit(self, request: web.Request) -> web.Response:
        most, subject, actor = limit_of(request, 200), request.query.get("subject"), request.query.get("actor")
        rows = []
        async for record in read_partitions(self.settings, topics.AUDIT.name):
            try:
                entry = AuditEntry.from_bytes(record.value)
            except BadMessage:
                continue  # not ours: anybody may write to a topic
            if (subject is None or entry.subject == subject) and (actor is None or entry.actor == actor):
                rows.append(entry.model_dump())
        await self._looked(request, "read audit", subject)
        return web.json_response(rows[: -most - 1 : -1])

    async def _letters(self, request: web.Request) -> web.Response:
        letters = await list_letters(self.settings, reason=request.query.get("reason"), limit=limit_of(request, 100))
        await self._looked(request, "list dead letters")
        return web.json_response([_letter(letter) for letter in letters])

    async def _replay(self, request: web.Request) -> web.Response:
        places = (await json_body(request, MAX_BODY_BYTES)).get("places")
        if not isinstance(places, list) or not places or not all(isinstance(place, str) for place in places):
            raise Refusal("places: a list of PARTITION:OFFSET is needed", "arguments")
        letters = await replay_letters(self.settings, places)
        await self._looked(request, "replay dead letters")
        return web.json_response([_letter(letter) for letter in letters])

    async def _command(self, request: web.Request, kind: CommandKind, subject: str, arguments: dict[str, Any]) -> web.Response:
        command = command_of(kind, subject, self._guard.actor(request), arguments)
        reply = await self._correspondent.ask(command, REPLY_WITHIN_S)
        if not reply.ok:
            why = str(reply.result.get("reason", "refused"))
            return error_response(STATUS.get(why, 409), reply.error, why, command_id=reply.command_id)
        return web.json_response({"command_id": reply.command_id, "subject": subject, **reply.result})

    async def _looked(self, request: web.Request, action: str, subject: str | None = None) -> None:
        await self._writer.audit(self._guard.actor(request), action, subject, "done")


def _subject_of(request: web.Request) -> str:
    return unquote(request.match_info["subject"])


def _letter(letter: Letter) -> dict[str, Any]:
    """A letter without its content, which may be anything."""
    names = ("id", "place", "reason", "text", "path", "topic", "partition", "offset", "at_ms", "worker")
    return {name: getattr(letter, name) for name in names} | {"bytes": len(letter.value or b"")}
