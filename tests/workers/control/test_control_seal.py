"""Templates on a broker's disk: in the clear, sealed, under a new key, under none that is known; and who reads them."""

import asyncio
import base64
import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streams import topics
from streams.errors import UnknownSealKey
from streams.messages import Template
from streams.provision import ensure_topics
from streams.seal import KeyRing, sealed_under
from streams.settings import Settings
from tests.support.brokers import BrokerProcess, broker_kinds
from tests.support.pipeline import until
from tests.workers.control.plane import HOP_NS, SPACE, Plane, person, records, run
from workers.control import retention
from workers.control.client import ask, read_gallery, read_sealed_gallery
from workers.control.export import import_templates
from workers.control.gallery import NUDGE_KEY, Change, GalleryView
from workers.control.reseal import IN_THE_CLEAR, reseal_gallery
from workers.control.retention import Retention
from workers.control.writer import Writer
from workers.gallery_feed import GalleryFeed

LINES = {name: f"{name} {base64.b64encode(bytes([n]) * 32).decode()}\n" for n, name in enumerate(("old", "new", "other"), 1)}
numbers = itertools.count(1)


def write_keys(file: Path, *names: str) -> None:
    """Put a key file in the place of another, whole."""
    part = file.with_suffix(".part")
    part.write_text("".join(LINES[name] for name in names))
    part.chmod(0o600)
    os.utime(part, ns=(0, next(numbers)))  # never the time of the one before, however coarse the file system's clock
    part.replace(file)


class Site:
    """A broker, a key file, and a control plane that is given it."""

    def __init__(self, broker: BrokerProcess, folder: Path) -> None:
        self.broker, self.folder, self.keys = broker, folder, folder / "keys"
        self.plain = Settings(bootstrap=broker.bootstrap, group_prefix="seal", session_timeout_s=6.0)
        self.sealed = self.plain.model_copy(update={"seal_key_file": self.keys})
        self.migrating = self.sealed.model_copy(update={"seal_accept_unsealed": True})
        run(ensure_topics(self.plain))

    @contextlib.contextmanager
    def control(self, settings: Settings) -> Iterator[Plane]:
        """A control plane with these settings."""
        environment = {}
        if settings.seal_key_file:
            environment = {
                "GAITSTREAM_SEAL_KEY_FILE": str(self.keys),
                "GAITSTREAM_SEAL_ACCEPT_UNSEALED": str(settings.seal_accept_unsealed),
            }
        plane = Plane(settings, self.folder, "--expiry-every-s", "1", **environment)
        plane.start()
        try:
            yield plane
        finally:
            plane.kill()

    def enrol(self, plane: Plane, subject: str) -> Template:
        """Walk, as the pipeline of these settings would publish it, and enrol."""
        seed, start_ns, device = next(numbers), time.time_ns() - 600 * 10**9, f"phone-{subject}"
        ring, key = KeyRing(plane.settings), device.encode()
        embeddings = records(device, person(seed, 14), start_ns)
        plane.publish(topics.EMBEDDINGS, [(key, ring.seal(topics.EMBEDDINGS.name, key, e.to_bytes())) for e in embeddings])
        arguments = {"stream_key": device, "from_ns": start_ns, "to_ns": start_ns + 20 * HOP_NS}
        reply = run(ask(plane.settings, "enrol", subject, "tester", arguments))
        assert reply.ok, reply.error
        (template,) = [t for t in run(read_gallery(plane.settings)) if t.subject == subject]
        return template

    def bring(self, subject: str, settings: Settings) -> Template:
        """Import somebody, with these settings."""
        vector_D = person(next(numbers), 1)[0]
        template = Template(
            subject=subject, template_id="1", space=SPACE, vector=vector_D, quality=0.9, windows=9, stream_key=f"phone-{subject}",
            from_ns=1, to_ns=2, enrolled_ns=1, consent="yes",
        )  # fmt: skip
        run(import_templates(settings, [template], "tester"))
        return template

    def on_disk(self, template: Template) -> bool:
        """Whether the template's numbers can be read in the broker's files."""
        needle = np.asarray(template.vector, "<f4").tobytes()
        return any(needle in file.read_bytes() for file in self.broker.data_dir.rglob("*") if file.is_file())


@pytest.fixture
def site(broker: BrokerProcess, tmp_path: Path) -> Site:
    """See `Site`."""
    return Site(broker, tmp_path)


def reseal(settings: Settings) -> dict[str, object]:
    """The receipt."""
    return run(reseal_gallery(settings, "tester", lambda done, of: None))


@pytest.mark.parametrize("broker_kind", broker_kinds())
def test_from_the_clear_to_a_key_to_the_next_key(site: Site) -> None:
    ada = site.bring("Ada", site.plain)
    assert site.on_disk(ada)
    write_keys(site.keys, "old")
    with site.control(site.migrating) as plane:
        bela = site.enrol(plane, "Bela")
        assert not site.on_disk(bela)
        receipt = reseal(site.migrating)
        assert (receipt["before"], receipt["after"]) == ({IN_THE_CLEAR: 1, "old": 1}, {"old": 2})
        assert (receipt["people"], receipt["resealed"], receipt["left"], receipt["refused"]) == (1, 1, 0, {})
        assert reseal(site.migrating)["people"] == 0, "there is nothing left to do"
        assert [(e.actor, e.subject, e.outcome) for e in plane.audit() if e.action == "reseal"] == [("tester", "Ada", "done")]
        write_keys(site.keys, "new", "old")  # while it runs
        chidi = site.enrol(plane, "Chidi")
        assert run(read_sealed_gallery(site.migrating))[1][chidi.key] == "new"
        assert reseal(site.migrating)["before"] == {"new": 1, "old": 2}
    write_keys(site.keys, "new")
    lying = [sealed_under(r.value) for r in plane.records(topics.GALLERY.name) if r.value is not None]
    assert lying == [None, "old", "old", "new", "new", "new"], "the log was not compacted yet: the old key is missing and nobody misses it"
    known = {"Ada": ada, "Bela": bela, "Chidi": chidi}
    with site.control(site.sealed) as plane:
        for t in run(read_gallery(site.sealed)):
            assert np.array_equal(t.vector, known[t.subject].vector) and t.consent == known[t.subject].consent
        reply = run(ask(site.sealed, "erase", "Bela", "tester"))
        assert reply.ok and {t.subject for t in run(read_gallery(site.sealed))} == {"Ada", "Chidi"}
        found = {row["topic"]: row["found"] for row in reply.result["receipt"]}
        assert (found[topics.GALLERY.name], found[topics.EMBEDDINGS.name]) == (2, 14), "under a lost key they count as the device's"


@pytest.mark.parametrize("broker_kind", broker_kinds(kafka=False))
def test_without_the_key_nothing_runs_and_with_it_everything_goes_on(site: Site) -> None:
    write_keys(site.keys, "old")
    ada = site.bring("Ada", site.sealed)
    assert not site.on_disk(ada)
    write_keys(site.keys, "other")
    for settings, said in (
        (site.sealed, "1 templates are sealed under old, which this process was not given"),
        (site.plain, "sealed under old"),
    ):
        with pytest.raises(UnknownSealKey, match=said):
            run(GalleryFeed(settings).start())
        with pytest.raises(UnknownSealKey, match=said):
            run(read_gallery(settings))
    with pytest.raises(AssertionError, match=r"the control plane ended[\s\S]*sealed under old"), site.control(site.sealed):
        pass

    async def follow() -> None:
        """A worker with the old key sees what is sealed under a new one as soon as it is given it, and what it knew stays until then."""
        write_keys(site.keys, "old")
        feed, view = GalleryFeed(site.sealed), GalleryView(site.sealed)
        await asyncio.gather(feed.start(), view.start())
        _, subject, _, _ = feed.changes.get(timeout=1)
        assert subject == "Ada" and feed.behind is None
        write_keys(site.folder / "keys-of-another", "new")
        writer = Writer(site.sealed.model_copy(update={"seal_key_file": site.folder / "keys-of-another"}))
        await writer.start()
        await writer.change_gallery("c", Change(written=[ada.model_copy(update={"consent": "more"})], result={}))
        await until(lambda: feed.behind is not None and view.records.missing() is not None, 30, "both to miss the key")
        assert "sealed under new" in str(feed.behind) and feed.changes.empty()
        write_keys(site.keys, "new", "old")
        await until(lambda: feed.behind is None and not feed.changes.empty(), 30, "the template")
        _, _, _, template = feed.changes.get(timeout=1)
        assert template is not None and template.consent == "more"
        await view.caught_up()
        assert view.of_subject("Ada")[0].consent == "more"
        await asyncio.gather(feed.stop(), view.stop(), writer.stop())

    run(follow())


@pytest.mark.parametrize("broker_kind", broker_kinds(kafka=False))
def test_damaged_moved_and_unsealed_values_match_nobody_and_stop_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    write_keys(site.keys, "old")
    with site.control(site.sealed) as plane:
        ada, bela = site.enrol(plane, "Ada"), site.enrol(plane, "Bela")
        value = {r.key: r.value for r in plane.records(topics.GALLERY.name)}
        damaged = value[ada.key][:-1] + bytes([value[ada.key][-1] ^ 1])
        forged = ada.model_copy(update={"template_id": "2"})
        plane.publish(topics.GALLERY, [(b"Ada/9", value[bela.key]), (b"Ada/8", damaged), (forged.key, forged.to_bytes())])
        assert [t.key for t in plane.gallery("Ada", "Bela")] == [ada.key, bela.key]
        reply = run(ask(site.sealed, "consent", "Ada", "tester", {"consent": "yes"}))
        assert reply.ok and reply.result == {"templates": 1}
        assert not run(ask(site.sealed, "reseal", "Nobody", "tester")).ok
        assert plane.process is not None and plane.process.poll() is None
        write_keys(site.keys, "new", "old")
        assert reseal(site.sealed)["resealed"] == 2

    async def nudge() -> None:
        """What was sealed under the old key must leave the disk although nobody enrols."""
        view, writer = GalleryView(site.sealed), Writer(site.sealed)
        await asyncio.gather(view.start(), writer.start())
        assert view.tombstone is not None and view.tombstone[0] == NUDGE_KEY
        for _ in range(2):
            await Retention(view, writer).look()
            await view.caught_up()
        await asyncio.gather(view.stop(), writer.stop())

    monkeypatch.setattr(retention, "SEGMENT_MS", 1)
    time.sleep(0.01)
    run(nudge())
    assert [r.key for r in plane.records(topics.GALLERY.name)].count(NUDGE_KEY) == 1
