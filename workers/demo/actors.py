"""Who walks in the demo, and what the pipeline said of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.simulation import Walker
    from streams.messages import IdentityEvent

NAMES = ("Ada", "Bela", "Chidi", "Dana", "Emil", "Farah", "Gita", "Hugo", "Ines", "Jun", "Kaya", "Liv")


@dataclass(slots=True)
class Tally:
    """Decisions about somebody, and the names given."""

    decisions: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)

    def note(self, event: IdentityEvent) -> None:
        """Count an event."""
        self.decisions[event.decision] += 1
        if event.subject:
            self.named[event.subject] += 1

    def wrong(self, person: str | None) -> int:
        """Events that name somebody else, or name anybody when this is a stranger or a thing."""
        return sum(n for name, n in self.named.items() if name != person)


@dataclass(slots=True)
class Actor:
    """Someone (or something) with a phone, who also passes the cameras if `walks`."""

    device_id: str
    truth: str
    person: str | None
    walker: Walker
    script: str
    by_phone: Tally = field(default_factory=Tally)
    by_camera: Tally = field(default_factory=Tally)

    @property
    def walks(self) -> bool:
        """Whether a camera could see this one walk."""
        return self.script == "walk"

    def wrong(self) -> int:
        """Wrong names by phone and by camera."""
        return self.by_phone.wrong(self.person) + self.by_camera.wrong(self.person)


def cast(phones: int, strangers: int, still: int, seed: int, make_walker: type[Walker]) -> list[Actor]:
    """`phones` enrolled people, strangers, and phones that lie still or ride, one walker each."""
    names = [NAMES[i] if i < len(NAMES) else f"Person{i + 1}" for i in range(phones)]
    actors = [Actor(f"phone-{n.lower()}", n, n, make_walker(seed + i), "walk") for i, n in enumerate(names)]
    later = seed + phones
    actors += [Actor(f"phone-stranger-{i + 1}", "a stranger", None, make_walker(later + i), "walk") for i in range(strangers)]
    for i in range(still):
        script, truth = ("still", "lies still") if i % 2 == 0 else ("vehicle", "rides")
        actors.append(Actor(f"phone-{script}-{i + 1}", truth, None, make_walker(later + strangers + i), script))
    return actors
