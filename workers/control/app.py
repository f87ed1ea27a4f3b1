"""The Faust application: delivers commands, each carried out once.

Faust commits past an event whose agent raised and never retries, so the agent catches everything itself.  What a command will do
is written to a table before it is done: a command that is delivered again (the worker died meanwhile) does the same, and is answered.
"""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import faust
import structlog
from mode import Service
from yarl import URL

from streams import topics
from streams.errors import BadMessage, ProcessingFailed, Refused
from streams.messages import Command, Template
from workers.control.http import Api
from workers.control.operations import Change
from workers.control.state import Control

if TYPE_CHECKING:
    from streams.settings import Settings

log = structlog.get_logger()

EXPIRY_EVERY_S = 60.0
"""How often templates past their expiry are erased; they stop matching at once, in the identity workers."""

REMEMBER_S = 7 * 86400.0
"""Commands are kept as long: after it, none can be delivered again."""


def create_app(settings: Settings) -> faust.App:
    """The application with its agent, table and timers."""
    app = faust.App(
        settings.group("control"),
        broker=[URL(f"kafka://{server}") for server in settings.bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        web_enabled=False,
        topic_allow_declare=True,
        topic_disable_leader=True,
        topic_replication_factor=1,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 4,
        stream_wait_empty=True,
        stream_buffer_maxsize=16,
        processing_guarantee="at_least_once",
        broker_commit_interval=0.5,
        datadir=str(settings.data_dir / "control"),
    )
    control = Control(settings)
    api = Api(settings, control)
    plans = app.Table(f"{settings.group('control')}-plans", key_type=str, value_type=str, partitions=settings.partitions(topics.COMMANDS))
    commands = app.topic(topics.COMMANDS.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=True)

    @app.service
    class _Plane(Service):
        async def on_start(self) -> None:
            await control.start()
            await api.start()

        async def on_stop(self) -> None:
            await api.stop()
            await control.stop()

    @app.agent(commands, concurrency=1)
    async def carry_out(stream: Any) -> None:
        async for event in stream.events():
            await _carry_out(control, plans, event)

    @app.timer(EXPIRY_EVERY_S)
    async def _expire() -> None:
        try:
            if control.ready() is None:
                await control.expire()
            oldest = time.time() - REMEMBER_S
            for key, value in list(plans.items()):
                if json.loads(value)["at_s"] < oldest:
                    plans.pop(key)
        except Exception as error:  # a timer that raises would end the application
            log.error("expiry failed", error=repr(error), exc_info=error)

    return app


async def _carry_out(control: Control, plans: Any, event: Any) -> None:
    """One event; never raises (Faust would lose it)."""
    record = event.message
    try:
        await control.loaded()
        command = Command.from_bytes(event.value)
    except BadMessage as error:
        await control.letter(error, record.key, event.value, record.partition, record.offset)
        return
    try:
        kept = plans.get(command.id)
        plan = _plan_of(kept) if kept is not None else None
        if plan is None:
            plan = await control.plan(command)
            plans[command.id] = _text_of(plan)
            await event.app.producer.flush()
        await control.apply(plan)
        await control.reply(command, result=plan.result)
    except Refused as error:
        await control.reply(command, error=str(error))
    except Exception as error:
        log.error("a command failed", kind=command.kind, error=repr(error), exc_info=error)
        failure = ProcessingFailed(f"{type(error).__name__}: {error}")
        await control.letter(failure, record.key, event.value, record.partition, record.offset)
        await control.reply(command, error=f"the command failed: {failure}")


def _text_of(plan: Change) -> str:
    """A plan as a table keeps it (Faust's tables hold JSON)."""
    written = [base64.b64encode(t.to_bytes()).decode() for t in plan.written]
    return json.dumps({"at_s": time.time(), "written": written, "erased": [key.decode() for key in plan.erased], "result": plan.result})


def _plan_of(text: str) -> Change:
    fields = json.loads(text)
    written = [Template.from_bytes(base64.b64decode(row)) for row in fields["written"]]
    return Change(written, [key.encode() for key in fields["erased"]], fields["result"])


def _credentials(settings: Settings) -> Any:
    arguments = settings.kafka()
    if settings.security_protocol == "SSL":
        return faust.SSLCredentials(arguments["ssl_context"])
    if settings.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=arguments["sasl_plain_username"],
            password=arguments["sasl_plain_password"],
            ssl_context=arguments.get("ssl_context"),
            mechanism=arguments["sasl_mechanism"],
        )
    return None
