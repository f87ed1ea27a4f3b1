"""The control plane: enrolment, the gallery, erasing, consent, audit; commands through Kafka (Faust), the same over HTTP."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from streams.settings import Settings

BROKER_WITHIN_S = 60.0


def run(settings: Settings, *, expiry_every_s: float | None = None) -> None:
    """Run the control worker until it is stopped.  Raises Misconfigured, or KafkaError when no broker answers."""
    import faust

    from workers.control.app import EXPIRY_EVERY_S, create_app
    from workers.control.guard import check_exposure

    check_exposure(settings)
    settings = asyncio.run(_topics(settings))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = create_app(settings, expiry_every_s=expiry_every_s or EXPIRY_EVERY_S)
    worker = faust.Worker(app, loglevel="WARN", redirect_stdouts=False, override_logging=False, daemon=True, loop=loop)
    worker.execute_from_commandline()


async def _topics(settings: Settings) -> Settings:
    """Create the topics before Faust could, which knows nothing of their retention; wait for a broker that is starting.

    Returns the settings with the number of replicas that Faust's own topic is to have.
    """
    from aiokafka.errors import KafkaError

    from streams.provision import ensure_topics, replicas_of
    from streams.topics import COMMANDS

    deadline_s = time.monotonic() + BROKER_WITHIN_S
    while True:
        try:
            await ensure_topics(settings)
            return settings.model_copy(update={"topic_replication": await replicas_of(settings, COMMANDS)})
        except (KafkaError, OSError) as error:
            if time.monotonic() > deadline_s:
                raise
            structlog.get_logger().warning("no broker answers yet", bootstrap=settings.bootstrap, error=repr(error))
            await asyncio.sleep(1.0)
