"""What the operator's page shows of cameras: per camera the newest analysed picture, and everybody in it by name.

Both topics are read only while somebody watches.  Pictures stay JPEG and wait in memory, a bounded number of bytes per camera, until
the camera worker has said who is in them; so the page draws boxes on the very picture that they belong to.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from streams import topics
from streams.errors import BadMessage
from streams.messages import CameraFrame, PeopleSeen
from workers.camera.picture import jpeg_size, read_claim
from workers.control.tail import tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import ConsumerRecord

    from streams.settings import Settings

log = structlog.get_logger()

TOPICS = (topics.CAMERA_FRAMES.name, topics.CAMERA_PEOPLE.name)
"""Pictures before what was seen in them."""

LOOK_BACK_S = 3.0
"""A page that opens shows the pictures of the last seconds at once."""

LEAST_STEP_NS = 190_000_000
"""Between two pictures of a camera on the page: about five a second."""

MOST_CAMERAS = 16
"""On one page; of more the first stay, and how many are left out is said."""

MOST_WAITING_BYTES = 4_000_000
"""Of a camera's pictures that nobody has looked through yet; beyond it every second one is let go."""

MOST_WAITING = 256
MOST_SHOWN = 6
"""Pictures per camera that a page can still ask for: a slow phone is a second behind."""

MOST_LAG_NS = 30_000_000_000
"""A camera worker further behind is held to be absent: then pictures are shown without anybody in them."""

MOST_NAMES = 2000
MOST_LEFT_OUT = 1000
FORGET_S = 60.0
"""A camera that has been silent for so long is no longer shown."""

Picture = bytes | str
"""JPEG, or the claim check of one."""


class CameraView:
    """One camera: pictures that wait, pictures that are shown, and who is in the newest of them.

    `lag_ns` is how far the newest verdict was behind the newest picture.  While nobody is in view no verdicts come; pictures are then
    shown as late as with them, so that time does not run backwards when somebody steps in.
    """

    def __init__(self, session: str) -> None:
        self.session = session
        self.heard_s = time.monotonic()
        self.shown: OrderedDict[int, Picture] = OrderedDict()
        self.size = (0, 0)
        self.people: list[dict[str, Any]] = []
        self._waiting: OrderedDict[int, tuple[Picture, tuple[int, int]]] = OrderedDict()
        self._seen: OrderedDict[int, PeopleSeen] = OrderedDict()
        self._verdict_ns, self._somebody, self._lag_ns = 0, False, 0

    @property
    def time_ns(self) -> int:
        """When the shown picture was taken; 0 before the first."""
        return next(reversed(self.shown), 0)

    def add_picture(self, frame: CameraFrame) -> bool:
        """A picture came; whether there is something new to show."""
        self.heard_s = time.monotonic()
        if frame.time_ns <= self.time_ns:
            return False
        picture: Picture = frame.jpeg if frame.jpeg is not None else frame.claim or ""
        self._waiting[frame.time_ns] = picture, (frame.width, frame.height)
        if len(self._waiting) > MOST_WAITING or sum(len(p) for p, _ in self._waiting.values()) > MOST_WAITING_BYTES:
            for time_ns in list(self._waiting)[-2::-2]:  # thinned, not cut: late verdicts still find some of their pictures
                del self._waiting[time_ns]
        seen = self._seen.pop(frame.time_ns, None)
        return self._show(seen) if seen is not None else self._show_empty()

    def add_people(self, seen: PeopleSeen) -> bool:
        """The camera worker has looked through a picture; whether there is something new to show."""
        self.heard_s = time.monotonic()
        self._verdict_ns, self._somebody = max(self._verdict_ns, seen.time_ns), bool(seen.people)
        newest_ns = max(next(reversed(self._waiting), 0), self.time_ns)
        self._lag_ns = min(max(newest_ns - seen.time_ns, 0), MOST_LAG_NS)
        if seen.time_ns == self.time_ns:
            self.people = people_of(seen)
            return True
        if seen.time_ns in self._waiting:
            return self._show(seen)
        if seen.time_ns > newest_ns:  # topics are read side by side: the verdict may come before its picture
            self._seen[seen.time_ns] = seen
            while len(self._seen) > MOST_SHOWN:
                self._seen.popitem(last=False)
        return False

    def _show(self, seen: PeopleSeen) -> bool:
        too_soon = seen.time_ns - self.time_ns < LEAST_STEP_NS and bool(seen.people) == bool(self.people)
        return not too_soon and self._turn_to(seen.time_ns, people_of(seen))

    def _show_empty(self) -> bool:
        """Nobody is in view, or nobody looks: the newest picture that is as old as pictures with people are."""
        newest_ns = next(reversed(self._waiting))
        if self._somebody and newest_ns - self._verdict_ns < MOST_LAG_NS:
            return False
        ripe_ns = max((t for t in self._waiting if t <= newest_ns - self._lag_ns), default=0)
        return ripe_ns - self.time_ns >= LEAST_STEP_NS and self._turn_to(ripe_ns, [])

    def _turn_to(self, time_ns: int, people: list[dict[str, Any]]) -> bool:
        picture, size = self._waiting[time_ns]
        for earlier_ns in [t for t in self._waiting if t <= time_ns]:
            del self._waiting[earlier_ns]
        if isinstance(picture, bytes) and not is_whole(picture, size):
            return False
        self.shown[time_ns], self.size, self.people = picture, size, people
        while len(self.shown) > MOST_SHOWN:
            self.shown.popitem(last=False)
        return True


class CameraFeed:
    """Reads pictures and verdicts for all viewers together; `put` gets the rows of the page, `{"kind": "camera", ...}`."""

    def __init__(self, settings: Settings, put: Callable[[dict[str, Any]], None]) -> None:
        self.settings, self._put = settings, put
        self._views: dict[str, CameraView] = {}
        self._left_out: dict[str, None] = {}
        self._names: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Somebody watches."""
        if self._task is None:
            self._task = asyncio.create_task(tail(self.settings, TOPICS, LOOK_BACK_S, self._take, max_records=200))

    def stop(self) -> None:
        """Nobody watches: no picture is kept."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._views, self._left_out = {}, {}

    def rows(self) -> list[dict[str, Any]]:
        """Every camera as it stands, for a page that opens."""
        return [self._row(camera) for camera, view in self._views.items() if view.shown]

    def name(self, row: dict[str, Any]) -> None:
        """An identity event, as a row of the page: whose track it is from now on."""
        track, known = row["stream"], self._names.get(row["stream"])
        if known is not None and known["at_ms"] > row["at_ms"]:
            return  # events are read again when another page opens
        self._names[track] = {key: row[key] for key in ("decision", "subject", "confidence", "at_ms")}
        self._names.move_to_end(track)
        if len(self._names) > MOST_NAMES:
            self._names.popitem(last=False)
        for camera, view in self._views.items():
            if view.shown and any(person["track"] == track for person in view.people):
                self._put(self._row(camera))

    async def picture(self, camera: str, time_ns: int) -> bytes:
        """The JPEG that the page was told of.  Raises KeyError for any other, BadMessage for a claim check that leads to no picture."""
        view = self._views[camera]
        picture, size = view.shown[time_ns], view.size
        if isinstance(picture, bytes):
            return picture
        content = await asyncio.to_thread(read_claim, picture, self.settings.camera_claim_root)
        if jpeg_size(content) != size:
            raise BadMessage("the claimed file is no JPEG of the stated size", path="claim")
        return content

    def _row(self, camera: str) -> dict[str, Any]:
        view = self._views[camera]
        people = [
            person | {key: self._names.get(person["track"], {}).get(key) for key in ("decision", "subject", "confidence")}
            for person in view.people
        ]
        # As text: JavaScript's numbers end at 2^53.
        return {
            "kind": "camera", "stream": camera, "time_ns": str(view.time_ns), "width": view.size[0], "height": view.size[1], "people": people,
            "cameras_left_out": len(self._left_out),
        }  # fmt: skip

    # ---- reading -----------------------------------------------------------------------------------------------------------------

    def _take(self, record: ConsumerRecord) -> None:
        try:
            if record.topic == topics.CAMERA_FRAMES.name:
                frame = CameraFrame.from_bytes(record.value)
                view = self._view(frame.camera_id, frame.session)
                news = view is not None and view.add_picture(frame)
                camera = frame.camera_id
            else:
                seen = PeopleSeen.from_bytes(record.value)
                view = self._view(seen.camera_id, None)
                news = view is not None and view.add_people(seen)
                camera = seen.camera_id
        except BadMessage:
            return  # not ours: anybody may write to a topic
        if news:
            self._put(self._row(camera))

    def _view(self, camera: str, session: str | None) -> CameraView | None:
        """The camera's view, begun anew with a new session (times may jump back); None when there is no room for another camera."""
        view = self._views.get(camera)
        if view is not None and session is not None and session != view.session:
            if view.session:
                view = None
            else:
                view.session = session
        if view is None:
            if camera not in self._views and len(self._views) >= MOST_CAMERAS and not self._make_room():
                if len(self._left_out) < MOST_LEFT_OUT:
                    self._left_out[camera] = None
                return None
            self._left_out.pop(camera, None)
            view = self._views[camera] = CameraView(session or "")
        return view

    def _make_room(self) -> bool:
        silent = [camera for camera, view in self._views.items() if view.heard_s < time.monotonic() - FORGET_S]
        for camera in silent:
            del self._views[camera]
        return bool(silent)


def people_of(seen: PeopleSeen) -> list[dict[str, Any]]:
    """Boxes (x0, y0, x1, y1) and COCO-17 joints (x, y, confidence) in pixels as plain numbers."""
    return [
        {
            "track": person.track,
            "box": np.nan_to_num(person.box.astype(np.float64)).round(1).tolist(),
            "keypoints": np.nan_to_num(person.keypoints.astype(np.float64)).round(2).tolist(),
        }
        for person in seen.people
    ]


def is_whole(jpeg: bytes, size: tuple[int, int]) -> bool:
    """Whether it is a JPEG of that size, as far as its header says."""
    try:
        return jpeg_size(jpeg) == size
    except BadMessage:
        return False
