"""The pipeline against a backlog: CPU time of the worker processes from the first message to the last output.

The workers are started on empty topics, frozen, and given the backlog; then one after the other is thawed until it has emptied its
topic.  One at a time, so that the two do not wait for each other's memory traffic and every batch is as large as the settings allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams import topics
from workers.bench.load import publish_backlog
from workers.bench.networks import Passes

if TYPE_CHECKING:
    from models.simulation import PhonePool
    from streams.settings import Settings
    from workers.bench.processes import Samples, Worker

STALLED_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class BacklogResult:
    """What went through and what it took."""

    messages: int
    windows: int
    inertial_s: float
    identity_s: float
    extraction: Passes
    embedding: Passes
    rss_mb: dict[str, float]

    @property
    def cpu_s(self) -> float:
        """CPU seconds of both workers."""
        return self.inertial_s + self.identity_s


async def run_backlog(settings: Settings, pool: PhonePool, inertial: Worker, identity: Worker, phones: int, seconds: int) -> BacklogResult:
    """Publish the backlog to frozen workers, then let them work it off.  Raises Unavailable when one makes no progress."""
    before = {worker.role: await worker.metrics() for worker in (inertial, identity)}
    inertial.freeze()
    identity.freeze()
    messages = await publish_backlog(settings, pool, phones, seconds)

    cpu_s = inertial.cpu_s()
    inertial.thaw()
    await inertial.until("gaitstream_messages_total", topics.IMU_RAW.name, messages, STALLED_AFTER_S)
    # A batch is counted before its outputs are written: the last ones are out when as many were acknowledged as windows were cut.
    windows = (await inertial.metrics()).get(("gaitstream_windows_total", "inertial"), 0.0)
    after = await inertial.until("gaitstream_outputs_total", topics.SAMPLES_INERTIAL.name, windows, STALLED_AFTER_S)
    inertial_s = inertial.cpu_s() - cpu_s
    extraction = _passes(before["inertial"], after)
    inertial.freeze()

    cpu_s = identity.cpu_s()
    identity.thaw()
    await identity.until("gaitstream_messages_total", topics.SAMPLES_INERTIAL.name, windows, STALLED_AFTER_S)
    after = await identity.until("gaitstream_outputs_total", topics.IDENTITY_EVENTS.name, windows, STALLED_AFTER_S)
    identity_s = identity.cpu_s() - cpu_s
    inertial.thaw()
    return BacklogResult(
        messages, int(windows), inertial_s, identity_s, extraction, _passes(before["identity"], after),
        {worker.role: round(worker.peak_rss_mb(), 1) for worker in (inertial, identity)},
    )  # fmt: skip


def _passes(before: Samples, after: Samples) -> Passes:
    """Forward passes between two readings; a worker runs one network."""

    def grown(name: str) -> int:
        return int(sum(v - before.get(key, 0.0) for key, v in after.items() if key[0] == name))

    return Passes(grown("gaitstream_forward_batch_sum"), grown("gaitstream_forward_batch_count"))
