"""The operator's page in a real browser: what happens is shown as it happens, people are enrolled and erased by a click."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streams.clients import producer_of
from streams.messages import IdentityEvent, WalkingEvent
from streams.topics import IDENTITY_EVENTS, WALKING_EVENTS, Topic
from tests.support.chromium import Browser, chromium_path
from tests.workers.control.plane import SPACE, Plane, run

Walked = Callable[..., tuple[str, str, dict[str, Any]]]
TOKEN = "correct horse battery staple"

HOSTILE = "<img src=x onerror=\"document.title='run'\">"
"""A name as an attacker would choose it: it must be shown, never run."""


def event(stream: str, decision: str, subject: str | None = None, **more: Any) -> tuple[bytes, bytes]:
    """An identity event of just now, as a record's key and value."""
    now_ns = time.time_ns()
    made = IdentityEvent(
        id=f"{stream}-{now_ns}", stream_key=stream, bout_id="b", start_ns=now_ns - 2_560_000_000, end_ns=now_ns, decision=decision,
        subject=subject, score=0.9, confidence=0.97, margin=0.2, candidates=more.pop("candidates", []), windows=5, effective_windows=3.0,
        target_fpir=0.01, enrolled=1, gallery_version=1, space=SPACE, quality=0.8, received_ns=now_ns, decided_ns=now_ns, **more,
    )  # fmt: skip
    return stream.encode(), made.to_bytes()


def walking(stream: str, kind: str) -> tuple[bytes, bytes]:
    now_ns = time.time_ns()
    made = WalkingEvent(
        id=f"{stream}-{kind}-{now_ns}", kind=kind, stream_key=stream, bout_id="b", start_ns=now_ns - 10**10, end_ns=now_ns, steps=18.0,
        step_rate_hz=1.8,
    )  # fmt: skip
    return stream.encode(), made.to_bytes()


def card(stream: str) -> str:
    """JavaScript: the text of a stream's card, or null."""
    return f"document.querySelector('[data-stream=\"{stream}\"]')?.innerText"


def test_the_page_follows_and_obeys(plane: Plane, walked: Walked, tmp_path: Path) -> None:
    chromium_path()
    subject, device, _ = walked(20)
    run(follow_and_obey(plane, subject, device, tmp_path))


async def follow_and_obey(plane: Plane, subject: str, device: str, folder: Path) -> None:
    async with Browser(folder / "profile") as page:
        await page.open(plane.url)
        await page.until("document.getElementById('health')?.innerText === 'ready'")

        # Events appear as they happen, each decision in its own words.
        await publish(plane, IDENTITY_EVENTS, event(device, "unknown", candidates=[{"subject": HOSTILE, "score": 0.41}]))
        await publish(plane, WALKING_EVENTS, walking(device, "began"))
        await page.until(f"{card(device)}?.includes('unknown')")
        assert HOSTILE in await page.run(card(device))
        assert await page.run("document.title") == "gaitstream", "a name was run as code"

        # Enrolled by a click: the person is in the gallery.
        await page.run(f"document.querySelector('[data-stream=\"{device}\"] .enrol').click()")
        await page.run(f"document.getElementById('enrol-name').value = {subject!r}")
        await page.run("document.getElementById('enrol-consent').value = 'test, on paper'")
        await page.run("document.getElementById('enrol-seconds').value = '600'")
        await page.run("document.getElementById('enrol-go').click()")
        await page.until(f"document.querySelector('tr[data-subject=\"{subject}\"]')?.innerText.includes('on paper')")
        await publish(plane, IDENTITY_EVENTS, event(device, "known", subject))
        await page.until(f"{card(device)}?.startsWith({subject!r})")
        await publish(plane, WALKING_EVENTS, walking(device, "ended"))
        await page.until(f"{card(device)}?.includes('18 steps')")
        await page.picture(folder / "page.png")
        assert (folder / "page.png").stat().st_size > 10_000

        # On a phone's screen nothing sticks out.
        await page.size(390, 800, mobile=True)
        assert await page.run("document.documentElement.scrollWidth <= window.innerWidth")
        await page.picture(folder / "phone.png")

        # What is refused is said in the dialog; then erased by a click, with a receipt.
        await page.run("document.querySelector('.enrol').click()")
        await page.run("document.getElementById('enrol-name').value = 'Somebody'")
        await page.run("document.getElementById('enrol-consent').value = 'yes'")
        await page.run("document.getElementById('enrol').dataset.stream = 'silent phone'")
        await page.run("document.getElementById('enrol-go').click()")
        await page.until("document.getElementById('enrol-error').innerText.includes('no walking of silent phone')")
        await page.run("document.getElementById('enrol').close()")
        await page.run(f"document.querySelector('tr[data-subject=\"{subject}\"] button').click()")
        await page.run("document.getElementById('erase-go').click()")
        await page.until("document.getElementById('erase-receipt').innerText.includes('gait.gallery')")
        assert not await page.run(f"document.querySelector('tr[data-subject=\"{subject}\"]')")
        assert not [line for line in page.console if "exceptionThrown" in line or "Content Security" in line], page.console


async def publish(plane: Plane, topic: Topic, record: tuple[bytes, bytes]) -> None:
    producer = producer_of(plane.settings)
    await producer.start()
    await producer.send_and_wait(topic.name, record[1], key=record[0])
    await producer.stop()


def test_a_token_is_asked_for(plane: Plane, tmp_path: Path) -> None:
    chromium_path()
    guarded = Plane(plane.settings.model_copy(update={"group_prefix": "page"}), tmp_path, GAITSTREAM_API_TOKEN=TOKEN)
    guarded.start()
    try:
        run(sign_in(guarded, tmp_path))
    finally:
        guarded.kill()


async def sign_in(plane: Plane, folder: Path) -> None:
    async with Browser(folder / "profile") as page:
        await page.open(plane.url)
        await page.until("document.getElementById('signin')?.hidden === false")
        assert not await page.run("document.getElementById('gallery').tBodies[0].rows.length"), "nobody is shown without the token"
        await page.run("document.getElementById('token').value = 'wrong'; document.querySelector('#signin button').click()")
        await page.until("document.getElementById('signin-error')?.innerText.includes('not accepted')")
        await page.run(f"document.getElementById('token').value = {TOKEN!r}; document.querySelector('#signin button').click()")
        await page.until("document.getElementById('main')?.hidden === false && document.getElementById('health').innerText === 'ready'")
        await publish(plane, IDENTITY_EVENTS, event("token-phone", "unknown"))
        await page.until(f"{card('token-phone')}?.includes('unknown')")
