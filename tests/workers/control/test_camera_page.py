"""Cameras on the operator's page, in a real browser: the very picture that was analysed, names on it, a click that opens enrolment."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest

from models.simulation.camera_view import Camera
from models.simulation.scene import RenderedFrame, Scene
from models.simulation.walker import Walker
from streams.clients import producer_of
from streams.messages import CameraFrame, IdentityEvent, PeopleSeen
from streams.messages.camera import PersonSeen
from streams.settings import Settings
from streams.topics import CAMERA_FRAMES, CAMERA_PEOPLE, IDENTITY_EVENTS, Topic
from tests.support.chromium import Browser, chromium_path
from tests.workers.control.plane import Plane, run
from workers.control import cameras
from workers.control.cameras import CameraFeed, CameraView

TOKEN = "v" * 20
STEP_NS = 80_000_000


def rendered(people: int, seed: int) -> RenderedFrame:
    """The first picture of a scene in which all these people are well in view."""
    scene = Scene([Walker(seed + i) for i in range(people)], Camera(), seed=seed)
    frames = (scene.frame(t * 250_000_000) for t in range(200))
    return next(f for f in frames if len(f.people) == people and (np.diff(f.boxes_P4[:, [0, 2]]) > 25).all())


def jpeg_of(image: Any) -> bytes:
    """As a camera sends it."""
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1])


def frame_of(camera: str, time_ns: int, jpeg: bytes | None, **more: Any) -> CameraFrame:
    return CameraFrame(camera_id=camera, seq=0, time_ns=time_ns, width=more.pop("width", 640), height=360, jpeg=jpeg, **more)


def seen_of(camera: str, time_ns: int, frame: RenderedFrame | None) -> PeopleSeen:
    """What a perfect camera worker says; nobody for None."""
    people = [] if frame is None else [
        PersonSeen(track=f"{camera}:{i}", box=box_4, keypoints=np.column_stack([joints[:, :2], np.minimum(joints[:, 2], 1)]), score=0.9)
        for i, (box_4, joints) in enumerate(zip(frame.boxes_P4, frame.joints_P17x3, strict=True))
    ]  # fmt: skip
    return PeopleSeen(id=f"{camera}{time_ns}", camera_id=camera, time_ns=time_ns, width=640, height=360, people=people, received_ns=time_ns)


def identity_of(camera: str, track: str, decision: Any, subject: str | None, confidence: float) -> IdentityEvent:
    now_ns = time.time_ns()
    return IdentityEvent(
        id=f"{track}-{now_ns}", modality="camera", stream_key=track, bout_id="b", start_ns=now_ns - 2_560_000_000, end_ns=now_ns,
        decision=decision, subject=subject, score=0.9, confidence=confidence, margin=0.2, candidates=[], windows=3, effective_windows=2.0,
        target_fpir=0.01, enrolled=1, gallery_version=1, space="s", quality=0.8, box=[0.0, 0.0, 9.0, 9.0], camera_id=camera,
        received_ns=now_ns, decided_ns=now_ns,
    )  # fmt: skip


async def publish(plane: Plane, *messages: CameraFrame | PeopleSeen | IdentityEvent) -> None:
    producer = producer_of(plane.settings)
    await producer.start()
    for message in messages:
        topic, key = place_of(message)
        await producer.send_and_wait(topic.name, message.to_bytes(), key=key.encode())
    await producer.stop()


def place_of(message: CameraFrame | PeopleSeen | IdentityEvent) -> tuple[Topic, str]:
    if isinstance(message, IdentityEvent):
        return IDENTITY_EVENTS, message.stream_key
    return (CAMERA_FRAMES if isinstance(message, CameraFrame) else CAMERA_PEOPLE), message.camera_id


# ---- in the browser --------------------------------------------------------------------------------------------------------------


def test_pictures_names_and_enrolment_by_a_click(plane: Plane, tmp_path: Path) -> None:
    chromium_path()
    run(watch_cameras(plane, tmp_path))


async def watch_cameras(plane: Plane, folder: Path) -> None:
    scenes = {"front door": rendered(2, 5), "yard": rendered(3, 40), "hall": rendered(1, 70)}
    t_ns = time.time_ns()
    async with Browser(folder / "profile", 1280, 844) as page:
        await page.size(1280, 800, mobile=False)
        await page.open(plane.url)
        await page.until("document.getElementById('health')?.innerText === 'ready'")
        for camera, frame in scenes.items():
            await publish(plane, frame_of(camera, t_ns, jpeg_of(frame.image_HW3)), seen_of(camera, t_ns, frame))
        await publish(plane, identity_of("front door", "front door:0", "known", "Ada Lovelace", 0.93))
        await publish(plane, identity_of("yard", "yard:1", "unknown", None, 0.88), identity_of("yard", "yard:2", "undecided", None, 0.4))

        # Each name stands by its own picture, also as text beside the canvas.
        await page.until(f"{person('front door:0')}?.innerText === 'Ada Lovelace 93 %'")
        await page.until(f"{person('yard:1')}?.innerText === 'unknown 88 %' && {person('yard:2')}.innerText === '… 40 %'")
        assert await page.run(f"{person('front door:1')}.innerText") == "…"
        assert "nobody" not in await page.run(f"{canvas('hall')}.getAttribute('aria-label')")
        await page.until(f"{canvas('hall')}.dataset.time === '{t_ns}'")
        await page.until("document.getElementById('events').innerText.includes('camera yard')")

        # The canvas shows the picture: where nobody stands its pixels are the camera's.
        for camera, frame in scenes.items():
            assert await away_from_people(page, camera, frame) < 12, camera
        assert await page.run("document.documentElement.scrollWidth <= window.innerWidth")
        await page.picture(folder / "desktop.png")

        # A click on a person opens enrolment of the track.
        await page.run(f"{canvas('yard')}.scrollIntoView({{block: 'center'}})")
        await click(page, "yard", scenes["yard"].boxes_P4[1])
        await page.until("document.getElementById('enrol').open && document.getElementById('enrol').dataset.stream.startsWith('yard:')")
        assert await page.run("document.getElementById('enrol-stream').innerText") == "yard:1"
        await page.run("document.getElementById('enrol').close()")
        await page.run(f"{person('front door:1')}.click()")
        assert await page.run("document.getElementById('enrol').dataset.stream") == "front door:1"
        await page.run("document.getElementById('enrol').close()")
        await page.run("document.querySelector('.stream[data-stream=\"yard:2\"]').click()")
        assert await page.run("document.getElementById('enrol').dataset.stream") == "yard:2"
        await page.run("document.getElementById('enrol').close()")

        # On phones nothing sticks out; when everybody has left, the newest picture is shown without boxes.
        for width, height in ((390, 844), (320, 640)):
            await page.size(width, height, mobile=True)
            await page.run("window.scrollTo(0, 0)")
            await page.until(f"{canvas('yard')}.width <= {width}")
            assert await page.run("document.documentElement.scrollWidth <= window.innerWidth"), width
            await page.picture(folder / f"phone-{width}.png")
        later_ns = t_ns + 10 * STEP_NS
        await publish(plane, frame_of("hall", later_ns, jpeg_of(scenes["yard"].image_HW3)), seen_of("hall", later_ns, None))
        await page.until(f"{canvas('hall')}.dataset.time === '{later_ns}' && !{person('hall:0')}")
        assert "nobody" in await page.run(f"{canvas('hall')}.getAttribute('aria-label')")
        assert not [line for line in page.console if "exceptionThrown" in line or "Content Security" in line], page.console


def person(track: str) -> str:
    """JavaScript: the button of a person in view."""
    return f"document.querySelector('.person[data-track=\"{track}\"]')"


def canvas(camera: str) -> str:
    """JavaScript: the canvas of a camera."""
    return f"document.querySelector('[data-camera=\"{camera}\"] canvas')"


async def away_from_people(page: Browser, camera: str, frame: RenderedFrame) -> float:
    """Mean difference of grey values between canvas and picture on a lattice of points, without boxes and labels."""
    free_HW = np.ones((360, 640), bool)
    for x0, y0, x1, y1 in frame.boxes_P4.astype(int):
        free_HW[max(y0 - 45, 0) : y1 + 5, max(x0 - 5, 0) : x1 + 160] = False
        free_HW[max(y0 - 45, 0) : y1 + 5, max(x0 - 160, 0) : x1 + 5] = False
    points = [(x, y) for y in range(10, 350, 12) for x in range(10, 630, 12) if free_HW[y, x]]
    assert len(points) > 50
    script = f"""(() => {{ const c = {canvas(camera)}, s = c.width / 640, pen = c.getContext("2d");
      return {json.dumps(points)}.map(([x, y]) => [...pen.getImageData(Math.round(x * s), Math.round(y * s), 1, 1).data]); }})()"""
    shown_N3 = np.array(await page.run(script))[:, :3].mean(axis=1)
    smooth_HW = cv2.blur(frame.image_HW3, (3, 3)).mean(axis=2)
    return float(np.abs(shown_N3 - [smooth_HW[y, x] for x, y in points]).mean())


async def click(page: Browser, camera: str, box_4: Any) -> None:
    """A real click of the mouse into the middle of a box."""
    frame = await page.run(f"JSON.parse(JSON.stringify({canvas(camera)}.getBoundingClientRect()))")
    scale = frame["width"] / 640
    x, y = frame["left"] + (box_4[0] + box_4[2]) / 2 * scale, frame["top"] + (box_4[1] + box_4[3]) / 2 * scale
    for kind in ("mousePressed", "mouseReleased"):
        await page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


# ---- who may see what ------------------------------------------------------------------------------------------------------------


def test_pictures_need_the_token_and_claims_stay_in_their_folder(plane: Plane, tmp_path: Path) -> None:
    root = tmp_path / "claims"
    root.mkdir()
    guarded = Plane(
        plane.settings.model_copy(update={"group_prefix": "cameras"}), tmp_path,
        GAITSTREAM_API_TOKENS=f"viewer door {TOKEN}", GAITSTREAM_CAMERA_CLAIM_ROOT=str(root),
    )  # fmt: skip
    guarded.start()
    try:
        run(try_everything(guarded, root))
    finally:
        guarded.kill()


async def try_everything(plane: Plane, root: Path) -> None:
    jpeg, t_ns = jpeg_of(rendered(1, 70).image_HW3), time.time_ns()
    (root / "a.jpg").write_bytes(jpeg)
    (root / "secret.txt").write_text("not a picture")
    (root.parent / "outside.jpg").write_bytes(jpeg)
    (root / "link.jpg").symlink_to(root.parent / "outside.jpg")
    claims = {
        "inside": ("a.jpg", 200),
        "up": ("../outside.jpg", 404),
        "absolute": (str(root.parent / "outside.jpg"), 404),
        "link": ("link.jpg", 404),  # leads out of the folder
        "text": ("secret.txt", 404),  # lies in the folder and is no JPEG
        "nothing": ("no.jpg", 404),
    }
    odd = ["..", "a %41?#&b", "日本 <script>", '"']  # names of cameras that a path or a header would trip over
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session, watching(session, plane.url) as rows:
        await publish(plane, *[frame_of(camera, t_ns, None, claim=claim) for camera, (claim, _) in claims.items()])
        await publish(plane, *[frame_of(camera, t_ns, jpeg) for camera in odd])
        told: set[str] = set()
        async with asyncio.timeout(30):
            async for row in rows:
                told.add(row["stream"])
                if told >= {*claims, *odd}:
                    break

        async def ask(camera: str, at: Any, **headers: str) -> tuple[int, bytes, Any]:
            query = {"camera": camera, "time_ns": str(at)}
            async with session.get(f"{plane.url}/api/cameras/picture", params=query, headers=headers) as answer:
                return answer.status, await answer.read(), answer.headers

        for camera, (claim, status) in claims.items():
            assert (await ask(camera, t_ns))[0] == status, claim
        for camera in odd:
            status, content, headers = await ask(camera, t_ns)
            assert (status, content) == (200, jpeg), camera
            assert headers["Content-Type"] == "image/jpeg" and headers["Cache-Control"] == "no-store"
        for camera, at, status in (
            ("inside", t_ns + 1, 404),  # another time
            ("nobody's", t_ns, 404),
            ("inside/../up", t_ns, 404),
            ("", t_ns, 400),
            ("c" * 129, t_ns, 400),
            ("inside", "", 400),
            ("inside", -1, 400),
            ("inside", "1e9", 400),
            ("inside", "٣", 400),  # a digit, but not one of ours
            ("inside", "9" * 20, 400),
            ("inside", f"{t_ns}\r\nX: y", 400),
        ):
            assert (await ask(camera, at))[0] == status, (camera, at)
        status, content, _ = await ask("inside", t_ns, Authorization="")
        assert status == 401 and b"\xff\xd8" not in content
        assert (await ask("inside", t_ns, Authorization="Bearer " + "x" * 20))[0] == 401
        # Who watches is in the audit trail once; who takes a picture without watching is for each.
        assert (await ask("inside", t_ns, **{"X-Gaitstream-Actor": "Eve"}))[0] == 200
    actions = [(e.actor, e.action) for e in await asyncio.to_thread(plane.audit) if e.actor.startswith("http:door")]
    assert sorted(actions) == [("http:door", "watch"), ("http:door:Eve", "look at picture")]


@asynccontextmanager
async def watching(session: aiohttp.ClientSession, url: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Rows of cameras as a page gets them."""
    async with session.get(f"{url}/api/live", timeout=aiohttp.ClientTimeout(60), read_bufsize=2**20) as answer:
        assert answer.status == 200

        async def rows() -> AsyncIterator[dict[str, Any]]:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    for row in json.loads(line[6:])["rows"]:
                        if row["kind"] == "camera":
                            yield row

        yield rows()


# ---- what is kept ----------------------------------------------------------------------------------------------------------------

FRAME = rendered(1, 70)
JPEG = jpeg_of(FRAME.image_HW3)


@pytest.mark.parametrize("late", [0, 3, 25])  # pictures that the camera worker is behind: none, a quarter of a second, two seconds
def test_a_verdict_is_shown_with_its_own_picture(late: int) -> None:
    view, shown = CameraView("s"), []
    for k in range(1, 101):
        news = view.add_picture(frame_of("c", k * STEP_NS, JPEG, session="s"))
        if k > late:
            news |= view.add_people(seen_of("c", (k - late) * STEP_NS, FRAME))
        if news and view.people:
            shown.append(view.time_ns)
    assert shown and all(time_ns % STEP_NS == 0 for time_ns in shown)
    assert len(shown) == len(set(shown)) and shown == sorted(shown)
    assert all(b - a >= cameras.LEAST_STEP_NS for a, b in pairwise(shown)), "at most about five a second"
    assert len(shown) > (90 - late) / 4, "and not much fewer"


def test_a_verdict_may_come_before_its_picture() -> None:
    view = CameraView("s")
    assert not view.add_people(seen_of("c", 5 * STEP_NS, FRAME))
    assert view.add_picture(frame_of("c", 5 * STEP_NS, JPEG))
    assert view.time_ns == 5 * STEP_NS and len(view.people) == 1


def test_pictures_without_a_worker_are_shown_and_those_of_people_wait_for_it() -> None:
    view = CameraView("s")
    assert view.add_picture(frame_of("c", 10 * STEP_NS, JPEG)) and not view.people  # nobody looks, or nobody is there
    assert view.add_people(seen_of("c", 10 * STEP_NS, FRAME)) and view.people  # somebody was there
    assert not view.add_picture(frame_of("c", 20 * STEP_NS, JPEG)) and view.time_ns == 10 * STEP_NS  # where are they now?
    assert view.add_people(seen_of("c", 20 * STEP_NS, None)) and not view.people  # gone
    assert view.add_picture(frame_of("c", 30 * STEP_NS, JPEG)) and view.time_ns == 30 * STEP_NS


WRONG = [
    frame_of("c", STEP_NS * 9, JPEG, width=320),  # another size than stated
    frame_of("c", STEP_NS * 9, JPEG[: len(JPEG) // 2]),  # cut off
    frame_of("c", STEP_NS * 9, b"<html><script>"),  # no picture at all
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_picture_is_not_shown(wrong: CameraFrame) -> None:
    view = CameraView("s")
    assert not view.add_picture(wrong) and not view.shown
    assert view.add_picture(frame_of("c", STEP_NS * 12, JPEG))  # the camera goes on


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "MOST_WAITING_BYTES", 20 * len(JPEG))
    view = CameraView("s")
    view.add_people(seen_of("c", 1, FRAME))  # somebody is there, and then the worker is silent
    for k in range(1, 300):
        view.add_picture(frame_of("c", k * STEP_NS, JPEG))
        assert len(view._waiting) <= 21 and len(view.shown) <= cameras.MOST_SHOWN
    assert min(view._waiting) < 150 * STEP_NS, "thinned, not cut: a late verdict still finds a picture"


def test_more_cameras_than_fit_are_counted_and_a_new_session_begins_anew() -> None:
    rows: list[dict[str, Any]] = []
    feed = CameraFeed(Settings(), rows.append)
    record: Callable[[Any], Any] = lambda m: type("R", (), {"topic": place_of(m)[0].name, "value": m.to_bytes()})()  # noqa: E731
    for n in range(cameras.MOST_CAMERAS + 5):
        feed._take(record(frame_of(f"camera {n}", 10**18, JPEG)))
    feed._take(type("R", (), {"topic": CAMERA_FRAMES.name, "value": b"nonsense"})())
    feed._take(record(frame_of("camera 0", 10**18 + 10**9, JPEG)))
    assert len(feed.rows()) == cameras.MOST_CAMERAS and rows[-1]["cameras_left_out"] == 5
    feed._take(record(frame_of("camera 0", 10**18 + 2 * 10**9, JPEG, session="a")))
    feed._take(record(frame_of("camera 0", 10**9, JPEG, session="b")))  # its clock was set back
    assert rows[-1]["stream"] == "camera 0" and rows[-1]["time_ns"] == str(10**9)


def test_the_newest_event_names_a_track() -> None:
    rows: list[dict[str, Any]] = []
    feed = CameraFeed(Settings(), rows.append)
    feed._views["c"] = view = CameraView("")
    view.add_picture(frame_of("c", STEP_NS, JPEG))
    view.add_people(seen_of("c", STEP_NS, FRAME))
    said = {"stream": "c:0", "decision": "known", "subject": "Ada", "confidence": 0.9, "at_ms": 2000}
    feed.name(said)
    feed.name(said | {"subject": "Bob", "at_ms": 1000})  # read again after a newer one
    assert [row["people"][0]["subject"] for row in rows] == ["Ada"]
