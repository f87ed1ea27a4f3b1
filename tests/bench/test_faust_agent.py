"""The agent that the pipeline is compared with does the work: it recognises walking and answers with the same kind of event."""

from streams.messages import IdentityEvent
from streams.settings import Settings
from workers.bench.faust_agent import GALLERY_TEMPLATES, PerMessage
from workers.bench.load import MIX, messages, phone_pool


def test_it_answers_for_walking_phones_only() -> None:
    """Phone i of the pool plays script i: the walkers get an event per message once 4.5 s are gathered, the still ones none."""
    agent, phones = PerMessage(Settings()), phone_pool().phones(range(len(MIX)))
    names = [f"{script}-{i}" for i, script in enumerate(MIX)]
    events: dict[str, list[IdentityEvent]] = {name: [] for name in names}
    seconds = 12
    for second in range(seconds):
        for key, value in messages(phones, names, second, second * 1_000_000_000):
            event = agent.take(value)
            if event is not None:
                events[key.decode()].append(event)
    walking = [found for name, found in events.items() if name.startswith("walk")]
    assert len(walking) == MIX.count("walk")
    for found in walking:
        # The fifth message completes the first input of 4.48 s; a walker may be taken for standing for a moment.
        assert seconds - 6 <= len(found) <= seconds - 4
        assert all(event.enrolled == GALLERY_TEMPLATES and len(event.candidates) == 5 for event in found)
        assert [event.end_ns for event in found] == sorted({event.end_ns for event in found})
    assert not [name for name, found in events.items() if name.startswith("still") and found]
