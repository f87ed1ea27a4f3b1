"""When pictures are taken, which are enough, how long a lost camera is left alone, and what a URI names."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import Refused
from workers.sources.camera_pace import FIRST_PAUSE_S, MOST_PAUSE_S, Backoff, CaptureClock, Thinner
from workers.sources.camera_uri import NetworkCamera, PictureFolder, UsbCamera, VideoFile, checked_id, default_id, parse

SECOND_NS = 1_000_000_000


class Clocks:
    """A wall clock that can be set, and a steady one."""

    def __init__(self) -> None:
        self.wall_ns, self.steady_ns = 1_700_000_000 * SECOND_NS, 5

    def pass_ns(self, time_ns: int) -> None:
        self.wall_ns += time_ns
        self.steady_ns += time_ns

    def capture_clock(self) -> CaptureClock:
        return CaptureClock(lambda: self.wall_ns, lambda: self.steady_ns)


def test_times_follow_the_wall_clock_while_it_runs():
    clocks = Clocks()
    clock = clocks.capture_clock()
    for _ in range(5):
        assert clock.now_ns() == clocks.wall_ns
        clocks.pass_ns(SECOND_NS // 25)
    assert clock.session == str(1_700_000_000 * SECOND_NS)


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(-900_000_000, 900_000_000)), min_size=2, max_size=30))
def test_times_of_a_session_only_grow(moves: list[tuple[int, int]]):
    """Whatever the wall clock does: small corrections stay in the session, larger ones begin another."""
    clocks = Clocks()
    clock = clocks.capture_clock()
    last: dict[str, int] = {}
    for passed_ns, set_ns in moves:
        clocks.pass_ns(passed_ns)
        clocks.wall_ns += set_ns
        time_ns = clock.now_ns()
        assert time_ns > last.get(clock.session, -1)
        assert abs(time_ns - clocks.wall_ns) <= SECOND_NS + len(moves)
        last[clock.session] = time_ns


@pytest.mark.parametrize("set_s", [-3600, 3600])
def test_a_clock_that_was_set_begins_a_session(set_s: int):
    clocks = Clocks()
    clock = clocks.capture_clock()
    clock.now_ns()
    before = clock.session
    clocks.wall_ns += set_s * SECOND_NS
    clocks.pass_ns(SECOND_NS)
    assert clock.now_ns() == clocks.wall_ns
    assert clock.session == str(clocks.wall_ns) != before


@pytest.mark.parametrize(
    ("camera_hz", "most_hz", "kept"),
    [
        (25, 12.5, 125),  # every second one
        (30, 12.5, 125),  # no divisor: the average is met
        (10, 12.5, 100),  # slower than asked: all
        (25, None, 250),  # no limit
    ],
)
def test_thinning_meets_the_rate(camera_hz: float, most_hz: float | None, kept: int):
    thinner = Thinner(most_hz)
    assert sum(thinner.keeps(n * SECOND_NS // camera_hz) for n in range(10 * camera_hz)) == pytest.approx(kept, abs=1)


def test_thinning_does_not_catch_up_after_a_gap():
    thinner = Thinner(10)
    assert thinner.keeps(0)
    after = [60 * SECOND_NS + n * SECOND_NS // 100 for n in range(100)]
    assert sum(thinner.keeps(time_ns) for time_ns in after) <= 11


def test_pauses_double_to_a_limit_and_are_short_again_after_a_picture():
    backoff = Backoff()
    pauses = [backoff.pause_s() for _ in range(9)]
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-2:] == [MOST_PAUSE_S, MOST_PAUSE_S] and sorted(pauses) == pauses
    backoff.succeeded()
    assert backoff.pause_s() == FIRST_PAUSE_S


@pytest.mark.parametrize(
    ("uri", "kind", "shown", "name"),
    [
        ("0", UsbCamera, "USB camera 0", "usb-0"),
        ("rtsp://host:554/live/1", NetworkCamera, "rtsp://host:554/live/1", "host-live-1"),
        ("rtsp://user:secret@host/live", NetworkCamera, "rtsp://host/live", "host-live"),  # no password is shown
        ("http://host/mjpg?password=secret", NetworkCamera, "http://host/mjpg", "host-mjpg"),  # nor in a query
        ("https://[::1]:8080/", NetworkCamera, "https://[::1]:8080/", "1"),
    ],
)
def test_what_a_uri_names(uri: str, kind: type, shown: str, name: str):
    source = parse(uri)
    assert (type(source), source.shown, default_id(source)) == (kind, shown, name)


def test_paths(tmp_path: Path):
    video = tmp_path / "front door 1.avi"
    video.touch()
    assert parse(str(video)) == VideoFile(video)
    assert parse(video.as_uri()) == VideoFile(video)  # spaces are %20 there
    assert default_id(parse(str(video))) == "front-door-1"
    assert parse(str(tmp_path)) == PictureFolder(tmp_path)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("absent.avi", "no such file"),
        ("ftp://host/x.avi", "ftp:// is no camera"),
        ("rtsp:///live", "names no host"),
        ("rtsp://host:port/live", "cannot be read"),
        ("-1", "no such file"),
    ],
)
def test_what_is_no_camera_is_refused(uri: str, says: str):
    with pytest.raises(Refused, match=says):
        parse(uri)


@pytest.mark.parametrize("name", ["", "a/b", "x" * 129, "a\nb"])
def test_names_that_no_camera_can_have(name: str):
    with pytest.raises(Refused, match="camera id"):
        checked_id(name)
