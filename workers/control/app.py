"""The Faust application: delivers commands one after the other, keeps what was answered in a table, wakes for what has expired.

Facts about Faust that shape it: it commits past an event whose agent raised and never tries again, so the executor catches
everything; with concurrency above one it commits past unfinished events, so there is one; after a crash the group waits for the
session timeout, so that is short.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from mode import Service
from yarl import URL

from streams import metrics, topics
from streams.clients import consumer_of
from workers.control.enrol import spaces_of_site
from workers.control.executor import Executor
from workers.control.gallery import GalleryView
from workers.control.health import ControlHealth
from workers.control.http import Api
from workers.control.retention import Retention
from workers.control.writer import Writer

if TYPE_CHECKING:
    from streams.settings import Settings

log = structlog.get_logger()

EXPIRY_EVERY_S = 60.0
"""How often templates past their expiry are erased; they stop matching at once, in the identity workers."""

PULSE_EVERY_S = 2.0


def create_app(settings: Settings, *, expiry_every_s: float = EXPIRY_EVERY_S) -> faust.App:
    """The application with its agent, table, timers and HTTP API."""
    app = _faust_app(settings)
    view, writer = GalleryView(settings), Writer(settings)
    spaces = spaces_of_site(settings)
    executor = Executor(settings, view, writer, spaces)
    health = ControlHealth(view, executor)
    api = Api(settings, view, writer, health, {space.name for space in spaces.values()})
    retention = Retention(view, writer)
    done = app.Table("commands-done", key_type=bytes, value_type=bytes, partitions=settings.partitions(topics.COMMANDS))
    commands = app.topic(
        topics.COMMANDS.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True,
        partitions=settings.partitions(topics.COMMANDS),
    )  # fmt: skip
    loaded = asyncio.Event()
    signals: Any = app  # the types of mode's signals do not take a coroutine function

    class Plane(Service):
        """What the agent stands on: started with the application, before the first command."""

        async def on_start(self) -> None:
            await writer.start()
            await view.start()
            await api.start()
            loaded.set()

        async def on_stop(self) -> None:
            await api.stop()
            await view.stop()
            await writer.stop()

    app.service(Plane)

    @app.agent(commands, concurrency=1)
    async def carry_out(stream: Any) -> None:
        await loaded.wait()
        async for event in stream.events():
            await executor.handle(event.message, done)
            await event.app.producer.flush()
            metrics.LAST_PROGRESS.labels("control").set_to_current_time()

    @signals.on_partitions_assigned.connect
    async def assigned(sender: Any, *given: Any, **_: Any) -> None:
        mine = [TopicPartition(tp.topic, tp.partition) for tp in given[0] if tp.topic == topics.COMMANDS.name]
        executor.assigned(await _ends(settings, mine))
        metrics.REBALANCES.labels("control").inc()

    @signals.on_rebalance_complete.connect
    async def complete(sender: Any, *given: Any, **_: Any) -> None:
        # After this signal Faust lets the commands flow, seeks to the committed offsets, and then empties its queues: commands that came in
        # between would be lost, and committed with the next one.  Until it resumes the flow for good, nothing may enter the queues.
        app.flow_control.suspend()
        health.assigned = True

    @signals.on_partitions_revoked.connect
    async def revoked(sender: Any, *given: Any, **_: Any) -> None:
        health.assigned = False

    @app.timer(PULSE_EVERY_S)
    async def pulse() -> None:
        health.pulse_s = time.monotonic()
        health.show()

    @app.timer(expiry_every_s)
    async def keep() -> None:
        if loaded.is_set():
            try:
                await retention.look()
            except KafkaError as error:  # a timer that raises would end the application
                log.warning("expiry must wait: the broker does not answer", error=repr(error))

    return app


def _faust_app(settings: Settings) -> faust.App:
    return faust.App(
        settings.group("control"),
        broker=[URL(f"kafka://{server}") for server in settings.bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,  # nothing here needs one: timers ask through commands, which are carried out once
        topic_replication_factor=settings.replication(),
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 4,
        broker_commit_interval=0.5,
        stream_wait_empty=True,
        stream_buffer_maxsize=16,
        stream_recovery_delay=0.0,
        processing_guarantee="at_least_once",
        datadir=str(settings.data_dir / "control"),
    )


async def _ends(settings: Settings, partitions: list[TopicPartition]) -> dict[int, int]:
    """End offset of each partition now; partitions are left out, and so held to be an earlier owner's, if the broker does not answer."""
    consumer = consumer_of(settings)
    try:
        await consumer.start()
        return {at.partition: end for at, end in (await consumer.end_offsets(partitions)).items()} if partitions else {}
    except KafkaError as error:
        log.warning("end offsets are not known, every command is looked for in the past", error=repr(error))
        return {}
    finally:
        await consumer.stop()


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
