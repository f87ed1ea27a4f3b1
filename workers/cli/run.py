"""`gaitstream demo`, `up`, `broker`, `worker`: what runs until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from streams.errors import Misconfigured
from streams.settings import check_bootstrap
from workers.supervisor import ROLES, Supervisor, free_port

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from streams.settings import Settings
    from workers.processor import Processor


T = TypeVar("T")


class Role(StrEnum):
    """What `gaitstream worker` can be."""

    INERTIAL = "inertial"
    CAMERA = "camera"
    IDENTITY = "identity"
    CONTROL = "control"


class BridgeKind(StrEnum):
    """What `gaitstream bridge` can listen to."""

    HTTP = "http"
    MQTT = "mqtt"


def run_async(coroutine: Coroutine[object, object, T]) -> T:
    """Run on uvloop where it exists, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(coroutine)
    return uvloop.run(coroutine)


def demo(
    context: typer.Context,
    phones: Annotated[int, typer.Option(help="Enrolled people with a phone")] = 6,
    cameras: Annotated[int, typer.Option(help="Cameras that everybody passes; 0 is phones only", min=0)] = 2,
    strangers: Annotated[int, typer.Option(help="Walkers whom nobody enrolled")] = 2,
    still: Annotated[int, typer.Option(help="Phones lying still or riding")] = 4,
    seconds: Annotated[float, typer.Option(help="Length of the live part; 0 runs until Ctrl-C")] = 45.0,
    seed: Annotated[int, typer.Option(help="First seed of the simulated walkers")] = 1,
    logs: Annotated[bool, typer.Option(help="Show the workers' logs")] = False,
) -> None:
    """Everything on this machine with simulated walkers: enrols some, lets all walk, prints identity events and a summary."""
    from workers.demo import Demo

    with tempfile.TemporaryDirectory(prefix="gaitstream-demo-") as folder:
        overrides = {"bootstrap": f"127.0.0.1:{free_port()}", "data_dir": Path(folder), "api_port": 0}
        settings: Settings = context.obj.model_copy(update=overrides)
        run = Demo(settings, phones=phones, cameras=cameras, strangers=strangers, still=still, seconds=seconds, seed=seed, show_logs=logs)
        raise typer.Exit(run_async(run.run()))


def up(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Folder of the embedded broker (default: .gaitstream)")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Use this Kafka instead of the embedded broker")] = None,
    roles: Annotated[str, typer.Option(help="Comma-separated roles")] = ",".join(ROLES),
    metrics_port: Annotated[
        int, typer.Option(help="First port of /metrics, /healthz, /readyz; each role has the next; 0 picks free ones")
    ] = 9101,
) -> None:
    """Every role on this machine, restarted when it dies; Ctrl-C stops gracefully."""
    from workers.logs import configure_logs

    settings: Settings = context.obj
    embedded = bootstrap is None and "bootstrap" not in settings.model_fields_set
    chosen = [role.strip() for role in roles.split(",") if role.strip()]
    if unknown := [role for role in chosen if role not in ROLES]:
        raise typer.BadParameter(f"{', '.join(unknown)}: roles are {', '.join(ROLES)}", param_hint="--roles")
    folder = data or settings.data_dir
    settings = settings.model_copy(update={"data_dir": folder} | ({"bootstrap": bootstrap} if bootstrap else {}))
    try:
        check_bootstrap(settings.bootstrap)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--bootstrap") from None
    configure_logs(settings, "supervisor")

    async def supervise() -> None:
        stopping = stop_event()
        broker_dir = folder / "broker" if embedded else None
        supervisor = Supervisor(settings, roles=chosen, broker_dir=broker_dir, metrics_port=metrics_port)
        starting = asyncio.create_task(_start(supervisor))
        stopped = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                typer.secho(f"ready: {', '.join(chosen)} on {settings.bootstrap}", fg="green", err=True)
                await stopped
        finally:
            for task in (starting, stopped):
                task.cancel()
            await asyncio.wait({starting, stopped})
            await supervisor.stop()

    run_async(supervise())


async def _start(supervisor: Supervisor) -> None:
    await supervisor.start()
    await supervisor.ready()


def broker(
    data: Annotated[Path, typer.Option(help="Folder of the log files")],
    port: Annotated[int, typer.Option(help="Port on loopback")] = 9092,
    host: Annotated[str, typer.Option(help="Loopback address")] = "127.0.0.1",
) -> None:
    """The embedded single-node broker: for demos, tests and one machine; production is Apache Kafka."""
    from streams.broker import serve
    from streams.broker.embedded import DirectoryInUse, NotLoopback

    try:
        serve(data, host, port, ready=lambda bootstrap: typer.echo(bootstrap))
    except (NotLoopback, DirectoryInUse, OSError) as error:
        raise Misconfigured(f"the broker cannot start: {error}") from None


def worker(context: typer.Context, role: Role) -> None:
    """One worker of a role; start as many as there is load (at most one per partition is busy)."""
    from workers.logs import configure_logs

    settings: Settings = context.obj
    configure_logs(settings, role.value)
    if role is Role.CONTROL:
        from streams.provision import ensure_topics
        from workers.control import run as run_control

        # Faust would create the topics of its agents itself, with another number of partitions, and not the folder's parents.
        run_async(ensure_topics(settings))
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        run_control(settings)
        return
    run_async(_data_plane(settings, role))


def bridge(context: typer.Context, kind: BridgeKind) -> None:
    """Samples that phones push over HTTP or MQTT (sensor-logging apps), published like any other."""
    from workers.bridges.run import run_bridge
    from workers.logs import configure_logs

    settings: Settings = context.obj
    configure_logs(settings, f"bridge-{kind.value}")

    async def serve_bridge() -> None:
        await run_bridge(settings, kind.value, stop_event())

    run_async(serve_bridge())


async def _data_plane(settings: Settings, role: Role) -> None:
    from streams.provision import ensure_topics
    from workers.runtime import Runtime

    await ensure_topics(settings)
    runtime = Runtime(settings, _processor(settings, role))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, runtime.stop)
    await runtime.run()


def _processor(settings: Settings, role: Role) -> Processor:
    if role is Role.INERTIAL:
        from workers.inertial.worker import InertialWorker

        return InertialWorker(settings)
    if role is Role.CAMERA:
        from workers.camera.worker import CameraWorker

        return CameraWorker(settings)
    from workers.identity.worker import IdentityWorker

    return IdentityWorker(settings)


def stop_event() -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, event.set)
    return event
