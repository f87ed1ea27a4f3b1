"""The API over HTTP, as a browser, a script and an intruder see it."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streams import topics
from streams.errors import Misconfigured
from streams.settings import Settings
from tests.workers.control.plane import SPACE, Plane
from workers.control.gallery import GalleryView
from workers.control.guard import check_exposure, is_loopback
from workers.control.health import ControlHealth
from workers.control.http import Api
from workers.control.writer import Writer

Walked = Callable[..., tuple[str, str, dict[str, Any]]]
JSON = {"Content-Type": "application/json"}
TOKEN = "correct horse battery staple"


def http(url: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and decoded answer; `body` is sent as JSON unless it is bytes."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = (JSON if data is not None else {}) | {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, sent, method=method), timeout=60) as response:
            status, text = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except json.JSONDecodeError:
        return status, text


def test_a_person_from_enrolment_to_erasure(plane: Plane, walked: Walked) -> None:
    subject, device, arguments = walked(20)
    api = f"{plane.url}/api"
    status, enrolled = http(f"{api}/enrol", "POST", {"subject": subject, **arguments, "consent": "yes"}, X_Gaitstream_Actor="ines")
    assert (status, enrolled["templates"], enrolled["subject"]) == (200, 1, subject)
    status, shown = http(f"{api}/subjects/{subject}")
    assert status == 200 and shown["streams"] == [device] and shown["enrolled_by"] == ["http:ines"] and "vector" not in shown
    assert subject in [row["subject"] for row in http(f"{api}/subjects")[1]]
    assert http(f"{api}/subjects/{subject}/consent", "POST", {"consent": "no photographs"})[0] == 200
    assert http(f"{api}/subjects/{subject}/rename", "POST", {"to": f"{subject} B"})[0] == 200
    status, exported = http(f"{api}/export")
    assert status == 200
    head, *lines = exported.splitlines()
    ours = [line for line in lines if json.loads(line)["subject"] == f"{subject} B"]
    assert len(ours) == 1 and json.loads(ours[0])["consent"] == "no photographs"
    status, erased = http(f"{api}/subjects/{subject}%20B", "DELETE")
    assert status == 200 and {row["topic"] for row in erased["receipt"]} >= {"gait.gallery", "gait.embeddings", "gait.identity.events"}
    assert http(f"{api}/subjects/{subject}%20B")[0] == 404
    again = "\n".join([json.dumps(json.loads(head) | {"templates": 1}), *ours]).encode()
    assert http(f"{api}/import", "POST", again, Content_Type="application/x-ndjson") == (200, {"templates": 1, "subjects": 1})
    assert http(f"{api}/subjects/{subject}%20B")[1]["consent"] == ["no photographs"]
    actions = [row["action"] for row in http(f"{api}/audit?subject={subject}%20B")[1]]
    assert actions == ["show", "import", "show", "erase"]
    actions = [(row["actor"], row["action"]) for row in http(f"{api}/audit?subject={subject}&limit=3")[1]]
    assert actions == [("http:127.0.0.1", "rename"), ("http:127.0.0.1", "consent"), ("http:127.0.0.1", "show")]


WRONG = [
    # method, path, body, headers; status and word
    ("GET", "/api/subjects/Nobody", None, {}, 404, "unknown_subject"),
    ("DELETE", "/api/subjects/Nobody", None, {}, 404, "unknown_subject"),
    ("DELETE", "/api/subjects/a%2Fb", None, {}, 400, "arguments"),  # a slash cannot be in a name
    ("POST", "/api/subjects/Nobody/rename", {"to": "B"}, {}, 404, "unknown_subject"),
    ("POST", "/api/subjects/Nobody/rename", {"name": "B"}, {}, 400, "arguments"),
    ("POST", "/api/subjects/Nobody/destroy", {}, {}, 404, "http"),  # no such route
    ("POST", "/api/enrol", {}, {}, 400, "arguments"),  # nobody to enrol
    ("POST", "/api/enrol", {"subject": "A"}, {}, 400, "arguments"),  # no stream
    ("POST", "/api/enrol", {"subject": "A", "stream_key": "silent phone", "last_s": 20.0}, {}, 422, "too_little_walking"),
    ("POST", "/api/enrol", b"{", {}, 400, "http"),  # no JSON
    ("POST", "/api/enrol", b"[]", {}, 400, "http"),  # no object
    ("POST", "/api/enrol", b"\xff", {}, 400, "http"),  # no text
    ("POST", "/api/enrol", b"{}" + b" " * 100_000, {}, 413, "http"),
    ("POST", "/api/enrol", b"a=1", {"Content_Type": "application/x-www-form-urlencoded"}, 415, "http"),  # a form of another site
    ("POST", "/api/enrol", b"{}", {"Content_Type": "text/plain"}, 415, "http"),  # the same trick
    ("GET", "/api/subjects", None, {"Host": "attacker.example"}, 403, "http"),  # a name that resolves to loopback
    ("GET", "/api/subjects", None, {"X_Gaitstream_Actor": "a/b"}, 400, "arguments"),
    ("POST", "/api/import", b"{}", {"Content_Type": "application/x-ndjson"}, 409, "refused"),
    ("GET", "/api/audit?limit=0", None, {}, 400, "http"),
    ("GET", "/api/audit?limit=all", None, {}, 400, "http"),
    ("POST", "/api/deadletters/replay", {}, {}, 400, "arguments"),
    ("POST", "/api/deadletters/replay", {"places": ["nowhere"]}, {}, 409, "refused"),
    ("GET", "/api/../etc/passwd", None, {}, 404, "http"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "headers", "status", "reason"), WRONG)
def test_what_is_wrong_is_said(plane: Plane, method: str, path: str, body: Any, headers: dict[str, str], status: int, reason: str) -> None:
    got, answer = http(plane.url + path, method, body, **headers)
    assert (got, answer["reason"]) == (status, reason) and len(answer["error"]) > 4, answer


def test_dead_letters_are_listed_and_put_back(plane: Plane) -> None:
    marker = b"\xc1 a letter over HTTP, of a length of its own"
    plane.publish(topics.COMMANDS, [(b"marker", marker)])

    def letters() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = http(f"{plane.url}/api/deadletters?limit=1000")[1]
        return [row for row in rows if row["bytes"] == len(marker)]

    plane.until(lambda: len(letters()) == 1, "the letter")
    (letter,) = letters()
    assert letter["reason"] == "undecodable" and letter["topic"] == topics.COMMANDS.name and "value" not in letter
    assert http(f"{plane.url}/api/deadletters/replay", "POST", {"places": [letter["place"]]})[0] == 200
    plane.until(lambda: len(letters()) == 2, "the letter about the replayed message")


def test_health_follows_progress(plane: Plane) -> None:
    assert http(f"{plane.url}/readyz")[1] == {"role": "control", "ready": True, "missing": None}
    status, health = http(f"{plane.url}/healthz")
    assert status == 200 and health["stuck"] is None and health["progress_age_s"] < 30
    metrics = http(f"{plane.url}/metrics")[1]
    assert "gaitstream_commands_total" in metrics and 'gaitstream_last_progress_timestamp_seconds{role="control"}' in metrics


async def test_a_token_opens_and_nothing_else_does() -> None:
    """Against the application itself, without a broker: a request that passes gets as far as "no such route"."""
    settings = Settings(api_token=TOKEN, api_host="0.0.0.0")  # type: ignore[arg-type]
    view, writer = GalleryView(settings), Writer(settings)

    def application() -> web.Application:
        return Api(settings, view, writer, ControlHealth(view, None), SPACE).application()  # type: ignore[arg-type]

    async with TestClient(TestServer(application())) as client:

        async def status(path: str, **headers: str) -> int:
            return (await client.get(path, headers=headers)).status

        for authorization in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ", f"Bearer {TOKEN[:-1]}", "Bearer é", "bearer"):
            for path in ("/api/subjects", "/api/export", "/api/nothing"):
                # After ten wrong ones in a minute the address has to wait.
                assert await status(path, Authorization=authorization) in (401, 429), (authorization, path)
        assert await status("/api/subjects") == 429
    async with TestClient(TestServer(application())) as client:
        assert await status("/api/subjects") == 401
        assert await status("/api/nothing", Authorization=f"Bearer {TOKEN}") == 404
        assert await status("/api/nothing", Authorization=f"Bearer {TOKEN}", Host="gait.example") == 404, "any name of this host will do"
        assert await status("/metrics") == 200 and await status("/readyz") == 503, "probes and scrapers have no token"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.org", False), ("", False)],
)  # fmt: skip
def test_only_loopback_goes_without_a_token(host: str, loopback: bool, tmp_path: Path) -> None:
    assert is_loopback(host) == loopback
    check_exposure(Settings(api_host=host, api_token="t"))  # type: ignore[arg-type]
    if loopback:
        check_exposure(Settings(api_host=host))
    else:
        with pytest.raises(Misconfigured, match="GAITSTREAM_API_TOKEN"):
            check_exposure(Settings(api_host=host))
