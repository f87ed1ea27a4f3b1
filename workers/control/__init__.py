"""The control plane: enrolment, the gallery, erasing, consent, audit; commands through Kafka (Faust), the same over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.settings import Settings


def run(settings: Settings) -> None:
    """Run the control worker until it is stopped."""
    import faust

    from workers.control.app import create_app

    worker = faust.Worker(create_app(settings), loglevel="WARN", redirect_stdouts=False, override_logging=False, daemon=True)
    worker.execute_from_commandline()
