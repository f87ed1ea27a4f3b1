"""`gaitstream push`, `simulate` and `watch`: what goes in, what comes out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from streams import topics
from streams.errors import Refused
from workers.cli.run import run_async, stop_event
from workers.watching import event_line, identity_events

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from models.simulation import Walker
    from streams.settings import Settings
    from workers.sources.camera_live import LiveOptions
    from workers.sources.camera_uri import NetworkCamera, UsbCamera
    from workers.sources.cameras import RecordedCamera

app = typer.Typer(no_args_is_help=True, help="Publish recordings as if devices sent them now, and what a camera sees.")
simulate = typer.Typer(no_args_is_help=True, help="Publish simulated people, live.")

Quality = Annotated[int, typer.Option(help="JPEG quality", min=1, max=100)]
Seed = Annotated[int, typer.Option(help="First seed of the simulated walkers", min=0)]
Seconds = Annotated[float, typer.Option(help="Stop after this long; 0 goes on until Ctrl-C", min=0)]


class Start(StrEnum):
    """Where `watch` begins."""

    BEGINNING = "beginning"
    END = "end"


class Decision(StrEnum):
    """Decisions that `watch` can be limited to."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    UNDECIDED = "undecided"


@app.callback()
def push() -> None:
    """Publish recordings as if devices sent them now, and what a camera sees."""


@simulate.callback()
def simulated() -> None:
    """Publish simulated people, live."""


@app.command()
def imu(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Recordings in the project's npz format")],
    people: Annotated[str | None, typer.Option(help="1-6, or names: ms01,ms03")] = None,
    where: Annotated[str | None, typer.Option(help='Conditions: "trial=7", "trial=8,15;placement=wrist"')] = None,
    speed: Annotated[str, typer.Option(help="Times real time, or max")] = "1",
    claim: Annotated[str | None, typer.Option(help="Every device claims to be this person (verification)")] = None,
    start_ns: Annotated[int | None, typer.Option(help="Time of the first sample (default: such that the recording ends now)")] = None,
    chunk_s: Annotated[float, typer.Option(help="Length of a message", min=0.05, max=10.0)] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="The devices as JSON")] = False,
) -> None:
    """Publish inertial recordings; each record is one device session."""
    from models.data.loading import load_recordings
    from workers.sources.phones import publish
    from workers.sources.recordings import phones_of

    settings: Settings = context.obj
    recordings = [r for file in files for r in load_recordings(file, people=people, where=where)]
    phones = phones_of(recordings, start_ns=start_ns, claim=claim)
    total = sum(-(-len(r.acc_N3) // max(1, round(chunk_s * r.rate_hz))) for r in recordings)
    with Progress(console=Console(stderr=True), disable=as_json) as progress:
        task = progress.add_task(f"{len(phones)} devices", total=total)
        times = None if speed == "max" else _positive(speed)
        sent = run_async(publish(settings, phones, speed=times, chunk_s=chunk_s, on_progress=lambda n: progress.update(task, completed=n)))
    if as_json:
        rows = [{"device": p.device_id, "subject": r.subject, "start_ns": p.start_ns} for p, r in zip(phones, recordings, strict=True)]
        typer.echo(json.dumps({"messages": sent, "devices": rows}))
    else:
        typer.echo(f"{sent} messages of {len(phones)} devices: {', '.join(phone.device_id for phone in phones)}")


@app.command()
def camera(
    context: typer.Context,
    uri: Annotated[str, typer.Argument(help="Video file, directory of pictures, rtsp://, http:// (MJPEG) or USB index")],
    camera_id: Annotated[str | None, typer.Option(help="Name of the camera (default: from the URI)")] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Send at most so many pictures a second; a directory has so many (default 12.5)", min=0.1, max=240.0),
    ] = None,
    speed: Annotated[str, typer.Option(help="Times real time, or max; of recorded pictures")] = "1",
    quality: Quality = 80,
    claim_root: Annotated[
        Path | None, typer.Option(help="Pictures too large for a message are written below this folder, which the camera worker reads")
    ] = None,
    width: Annotated[int | None, typer.Option(help="Scale larger pictures down to this width, in pixels", min=16, max=8192)] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end of a recording, until Ctrl-C")] = False,
    start_ns: Annotated[
        int | None, typer.Option(help="Time of a recording's first picture (default: such that it ends now)", min=0)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What was sent as JSON")] = False,
) -> None:
    """Publish the pictures of one camera: recorded ones with their own times, live ones as they are taken, newest first."""
    from models.types import CAMERA_RATE_HZ
    from workers.sources.camera_jpeg import ClaimFolder
    from workers.sources.camera_live import LiveOptions
    from workers.sources.camera_recorded import Folder, Video
    from workers.sources.camera_uri import NetworkCamera, PictureFolder, UsbCamera, checked_id, default_id, parse
    from workers.sources.cameras import RecordedCamera

    settings: Settings = context.obj
    source = parse(uri)
    times = None if speed == "max" else _positive(speed)
    name = checked_id(camera_id or default_id(source))
    keep_s = settings.retention_ms.get(topics.CAMERA_FRAMES.name, topics.CAMERA_FRAMES.retention_ms or 0) / 1000
    claims = ClaimFolder(claim_root, keep_s) if claim_root else None
    if isinstance(source, NetworkCamera | UsbCamera):
        if times != 1 or loop or start_ns is not None:
            raise Refused("--speed, --loop and --start-ns are for recorded pictures: a live camera has its own time")
        options = LiveOptions(name, quality, width, claims)
        sent, dropped = _push_live(settings, source, options, fps, as_json)
    else:
        recording = Folder(source.path, fps or CAMERA_RATE_HZ) if isinstance(source, PictureFolder) else Video(source.path)
        if loop and (times is None or times > 1):
            raise Refused("--loop goes on for ever: at more than real time its pictures would run ahead of the clock")
        begin_ns = start_ns if start_ns is not None else time.time_ns() - (0 if loop else recording.duration_ns)
        recorded = RecordedCamera(name, recording, begin_ns, quality, width, fps, claims, loop)
        sent, dropped = _push_recorded(settings, recorded, times, as_json), 0
    if as_json:
        typer.echo(json.dumps({"camera": name, "frames": sent, "dropped": dropped}))
    else:
        typer.echo(f"{sent} frames of camera {name}" + (f", {dropped} dropped for newer ones" if dropped else ""))


def _push_recorded(settings: Settings, camera: RecordedCamera, speed: float | None, quiet: bool) -> int:
    from workers.sources.cameras import publish

    total = None if camera.loop or camera.most_hz is not None else camera.recording.length
    with Progress(console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task(camera.camera_id, total=total)

        async def push_all() -> int:
            advance = partial(progress.update, task)
            return await publish(settings, [camera], speed=speed, on_progress=lambda n: advance(completed=n), until=stop_event())

        return run_async(push_all())


def _push_live(
    settings: Settings, source: NetworkCamera | UsbCamera, options: LiveOptions, fps: float | None, quiet: bool
) -> tuple[int, int]:
    from workers.sources.camera_live import LiveCamera, publish_live

    with Progress(console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task(options.camera_id, total=None)
        camera = LiveCamera(source, say=progress.console.print, most_hz=fps)

        async def push_all() -> int:
            return await publish_live(
                settings, camera, options, until=stop_event(), on_progress=lambda n: progress.update(task, completed=n)
            )

        return run_async(push_all()), camera.newest.replaced


@simulate.command()
def cameras(
    context: typer.Context,
    number: Annotated[int, typer.Option("--cameras", help="Cameras of the site", min=1)] = 2,
    people: Annotated[int, typer.Option(help="Walkers, named walker-SEED", min=0)] = 4,
    strangers: Annotated[int, typer.Option(help="Walkers, named stranger-SEED", min=0)] = 1,
    seconds: Seconds = 0.0,
    seed: Seed = 1,
    quality: Quality = 80,
) -> None:
    """Rendered cameras, camera-0 and so on, through which simulated people walk."""
    from models.simulation import Walker
    from models.simulation.camera_live import simulated_cameras
    from workers.sources.cameras import publish_cameras

    settings: Settings = context.obj
    known, unknown = _walkers(Walker, people, strangers, seed)
    site = simulated_cameras(number, known, unknown, seed=seed, start_ns=time.time_ns())
    sent = _simulate(
        partial(publish_cameras, settings, site, seconds=seconds or math.inf, quality=quality),
        f"{number} cameras, {people + strangers} people",
    )
    typer.echo(f"{sent} frames of {number} cameras: {', '.join(camera.camera_id for camera in site)}")


@simulate.command()
def phones(
    context: typer.Context,
    number: Annotated[int, typer.Option("--phones", help="People with a phone: phone-walker-SEED", min=0)] = 4,
    strangers: Annotated[int, typer.Option(help="More of them: phone-stranger-SEED", min=0)] = 1,
    seconds: Seconds = 0.0,
    seed: Seed = 1,
) -> None:
    """Phones in the pockets of simulated people who walk."""
    from models.simulation import LivePhone, Walker
    from workers.demo import LiveSamples
    from workers.sources.phones import Phone, publish

    settings: Settings = context.obj
    known, unknown = _walkers(Walker, number, strangers, seed)
    named = [(f"phone-walker-{w.seed}", w) for w in known] + [(f"phone-stranger-{w.seed}", w) for w in unknown]
    now_ns = time.time_ns()
    devices = [Phone(name, LiveSamples(LivePhone(w, start_ns=now_ns)), now_ns, session=str(now_ns)) for name, w in named]

    async def send(on_progress: Callable[[int], None], until: asyncio.Event) -> int:
        if seconds:
            asyncio.get_running_loop().call_later(seconds, until.set)
        return await publish(settings, devices, on_progress=on_progress, until=until)

    sent = _simulate(send, f"{len(devices)} phones")
    typer.echo(f"{sent} messages of {len(devices)} phones: {', '.join(phone.device_id for phone in devices)}")


def _walkers(walker: type[Walker], people: int, strangers: int, seed: int) -> tuple[list[Walker], list[Walker]]:
    """Seeds from `seed` on, the strangers' after those of the people."""
    if not people + strangers:
        raise Refused("nobody is there: people and strangers are both 0")
    return [walker(seed + i) for i in range(people)], [walker(seed + people + i) for i in range(strangers)]


def _simulate(publish: Callable[..., Coroutine[object, object, int]], title: str) -> int:
    """Run until it ends or Ctrl-C, with progress."""
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None)

        async def send() -> int:
            return await publish(on_progress=lambda n: progress.update(task, completed=n), until=stop_event())

        return run_async(send())


def _positive(speed: str) -> float:
    try:
        value = float(speed)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise Refused(f"--speed is a positive number or max, got {speed!r}")
    return value


def watch(
    context: typer.Context,
    start: Annotated[Start, typer.Option("--from", help="beginning or end")] = Start.END,
    decision: Annotated[list[Decision] | None, typer.Option(help="Only these decisions")] = None,
    seconds: Annotated[float, typer.Option(help="Stop after this long; 0 watches until Ctrl-C")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line")] = False,
) -> None:
    """Identity events as they happen, one line each."""
    settings: Settings = context.obj
    wanted = set(decision or Decision)

    async def show() -> None:
        until = stop_event()
        if seconds:
            asyncio.get_running_loop().call_later(seconds, until.set)
        async for event in identity_events(settings, start=start.value, until=until):
            if event.decision in wanted:
                typer.echo(event.model_dump_json() if as_json else event_line(event))

    with contextlib.suppress(BrokenPipeError):
        run_async(show())
