"""What can be done with people who are enrolled: rename, merge, consent and expiry, erase.

Each function says what is to change; nothing is written here.  `resuming` means that the same command has been carried out in part
before the worker died: the checks that it passed then are not asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.errors import Refused
from workers.control.arguments import ConsentArguments, EraseArguments, NewName, arguments_of
from workers.control.gallery import Change
from workers.control.refusal import Refusal

if TYPE_CHECKING:
    from streams.messages import Command, Template
    from workers.control.gallery import GalleryView


def rename(command: Command, view: GalleryView, *, resuming: bool = False) -> Change:
    """The person gets another name.  Raises Refusal when somebody bears it: then merge is meant."""
    to = arguments_of(command, NewName).to
    own = templates_of(view, command.subject)
    if not resuming and any(t.subject == to for t in view.templates.values()):
        raise Refusal(f"somebody is enrolled as {to} already; use merge if that is the same person", "exists")
    return _moved(own, to)


def merge(command: Command, view: GalleryView, *, resuming: bool = False) -> Change:
    """Two entries are one person: the subject's templates go to the other name, each with the consent it was given under."""
    to = arguments_of(command, NewName).to
    if to == command.subject:
        raise Refusal("a person cannot be merged with themselves", "arguments")
    templates_of(view, to)
    return _moved(templates_of(view, command.subject), to)


def consent(command: Command, view: GalleryView, *, resuming: bool = False) -> Change:
    """Consent text or expiry of all of a person's templates changes."""
    wanted = arguments_of(command, ConsentArguments)
    update = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    if "consent" in update and not (update["consent"] or "").strip():
        raise Refusal("consent: a text is needed; erase the person if consent is withdrawn", "arguments")
    own = templates_of(view, command.subject)
    return Change(written=[t.model_copy(update=update) for t in own], result={"templates": len(own)})


def erase(command: Command, view: GalleryView, *, resuming: bool = False) -> Change:
    """Tombstones for every template; the reply is completed with the receipt afterwards (see `receipt`)."""
    wanted = arguments_of(command, EraseArguments)
    if wanted.expired:
        gone = [t for t in view.current() if t.subject == command.subject and expired(t, command.sent_ns)]
    else:
        gone = templates_of(view, command.subject)
    streams = sorted({(t.stream_key, t.from_ns, t.to_ns) for t in gone})
    return Change(erased=[t.key for t in gone], result={"templates": len(gone), "streams": [list(row) for row in streams]})


def expired(template: Template, now_ns: int) -> bool:
    """Whether the person agreed only until before `now_ns`."""
    return template.expires_ns is not None and template.expires_ns <= now_ns


def templates_of(view: GalleryView, subject: str) -> list[Template]:
    """The person's templates.  Raises Refusal when there are none."""
    try:
        return view.of_subject(subject)
    except Refused as error:
        raise Refusal(str(error), "unknown_subject") from None


def _moved(own: list[Template], name: str) -> Change:
    written = [t.model_copy(update={"subject": name}) for t in own]
    return Change(written=written, erased=[t.key for t in own], result={"templates": len(own), "to": name})
