"""Sealing the gallery under the newest key: a command per person, so that nobody is written back who is being erased, renamed or merged.

Whoever asks again asks only for what is left.  What was sealed under an old key, or lay in the clear, stays in the log until the broker
compacts it; nobody needs the old key for that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from streams.errors import Refused
from streams.seal import KeyRing
from workers.control.client import Correspondent, command_of, read_sealed_gallery
from workers.control.gallery import Change
from workers.control.operations import templates_of
from workers.control.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.messages import Command
    from streams.settings import Settings
    from workers.control.gallery import GalleryView

AT_ONCE = 32
"""Commands that wait for their reply: enough to keep the control plane busy, few enough that each is answered in time."""

REPLY_WITHIN_S = 60.0
IN_THE_CLEAR = "(in the clear)"


def reseal(command: Command, view: GalleryView, *, resuming: bool = False) -> Change:
    """The person's templates that are not under the newest key are written again.  Raises Refusal where there is no key."""
    view.records.ring.refresh()
    newest = view.records.ring.newest
    if newest is None:
        raise Refusal("the control plane was given no key: set GAITSTREAM_SEAL_KEY_FILE", "misconfigured")
    own = templates_of(view, command.subject)
    stale = [t for t in own if view.records.sealed_under.get(t.key) != newest]
    return Change(written=stale, result={"templates": len(stale), "already": len(own) - len(stale), "key": newest})


async def reseal_gallery(settings: Settings, actor: str, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Ask for everybody who has templates under another key and return the receipt; `progress` gets people done and people in all.

    Raises Refused where this process has no key, or another newest key than the control plane; UnknownSealKey, NoReply or KafkaError.
    """
    newest = KeyRing(settings).newest
    if newest is None:
        raise Refused("no key is given: set GAITSTREAM_SEAL_KEY_FILE, for this command and for every worker")
    templates, before = await read_sealed_gallery(settings)
    stale = sorted({t.subject for t in templates if before.get(t.key) != newest})
    refused: dict[str, str] = {}
    others: set[str] = set()
    done = 0
    async with Correspondent(settings) as correspondent:
        gate = asyncio.Semaphore(AT_ONCE)

        async def ask(subject: str) -> int:
            nonlocal done
            async with gate:
                reply = await correspondent.ask(command_of("reseal", subject, actor), REPLY_WITHIN_S)
            done += 1
            progress(done, len(stale))
            if not reply.ok:
                refused[subject] = reply.error  # erased or renamed meanwhile
                return 0
            if reply.result["key"] != newest:
                others.add(reply.result["key"])
            return int(reply.result["templates"])

        resealed = sum(await asyncio.gather(*(ask(subject) for subject in stale)))
    if others:
        raise Refused(f"the newest key here is {newest}, the control plane's is {', '.join(sorted(others))}: give both the same file")
    templates, after = await read_sealed_gallery(settings)
    return {
        "key": newest,
        "people": len(stale),
        "resealed": resealed,
        "before": _by_key(before),
        "after": _by_key(after),
        "left": sum(after.get(t.key) != newest for t in templates),
        "refused": refused,
    }


def _by_key(sealed_under: dict[bytes, str | None]) -> dict[str, int]:
    """How many templates lie under which key."""
    return dict(sorted(Counter(key or IN_THE_CLEAR for key in sealed_under.values()).items()))
