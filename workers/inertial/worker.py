"""The inertial worker: `gait.imu.raw` in; `gait.samples.inertial` and `gait.walking.events` out.

All devices of a poll go through the extraction network as one batch.  Per device the path is

    chunk → checks → ordering (time order, gaps, lateness) → grid (50 Hz, absolute) → walking blocks → bouts → gait samples
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.inertial.cadence import step_rate_hz
from models.inertial.cutting import walking_blocks
from models.types import GRID_STEP_NS
from streams import metrics, topics
from streams.errors import BadClock, BadMessage, SchemaMismatch
from streams.messages import GaitSample, ImuChunk
from workers.inertial.bouts import BLOCK_SAMPLES, CUT, WINDOW_SAMPLES, Bouts, Window
from workers.inertial.checks import LEAST_MEAN_ACC_MS2, check_times, check_values
from workers.inertial.grid import Grid
from workers.inertial.ordering import Ordering, Piece
from workers.inertial.two_step import BACK_SAMPLES, TWO_STEP_CUT, two_step_samples_of
from workers.networks import extractor_of
from workers.processor import Outcome, Output, Processor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import ConsumerRecord, TopicPartition
    from numpy.typing import NDArray

    from streams.messages import WalkingEvent
    from streams.settings import Settings
    from workers.processor import Emitted, Incoming

BACKLOG_SAMPLES = 600
"""At least 10 s of backlog per round fit into a device's ring of grid values, beside what the networks look back to."""

MOST_SILENT_DEVICES = 200_000
"""Devices of which is remembered how far they came, so that a phone that sends its last minutes again after a silence does not
repeat its events.  Only memory knows it: after a restart such a phone's last minutes would be taken for new ones.  About 20 MB."""


class Device:
    """State of one device.  Grid values live in the worker's `Grid`, under `slot`."""

    __slots__ = ("at", "bouts", "next_block", "order", "previous_mean", "previous_walks", "queue", "slot")

    def __init__(self, at: TopicPartition, slot: int) -> None:
        self.at, self.slot = at, slot
        self.order = Ordering()
        self.queue: deque[Piece] = deque()
        self.bouts: Bouts = Bouts("", "")
        self.next_block = 0
        self.previous_walks = False
        self.previous_mean = 0.0


class InertialWorker(Processor):
    """See the module; implements `workers.processor.Processor`."""

    role = "inertial"
    inputs: tuple[topics.Topic, ...] = (topics.IMU_RAW,)
    outputs: tuple[topics.Topic, ...] = (topics.SAMPLES_INERTIAL, topics.WALKING_EVENTS)

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._devices: dict[tuple[TopicPartition, str], Device] = {}
        self._decided: dict[tuple[TopicPartition, str], tuple[str, int]] = {}  # of silent devices: session, and up to when
        self._loaded = False

    async def start(self) -> None:
        """Load the extractor and run it once."""
        await asyncio.to_thread(self._load)

    def _load(self) -> None:
        torch.set_num_threads(self.settings.threads)
        self._extractor = extractor_of(self.settings)
        self._input_samples = self._extractor.context_samples + BLOCK_SAMPLES + self._extractor.lookahead_samples
        self._two_step = self.settings.cut == TWO_STEP_CUT
        # Samples before the end of a block that must be in the ring when it is decided.
        self._needed_samples = max(self._input_samples, (BACK_SAMPLES + self._extractor.lookahead_samples) * self._two_step)
        self._grid = Grid(1 << (self._needed_samples + BACKLOG_SAMPLES - 1).bit_length())
        self._extractor.predict(np.zeros((1, self._input_samples, 6), np.float32))
        self._loaded = True

    async def stop(self) -> None:
        """Nothing outlives the process."""

    def ready(self) -> str | None:
        """None once the extractor is loaded."""
        return None if self._loaded else "the walking extractor is not loaded"

    def decode(self, record: ConsumerRecord) -> ImuChunk:
        """The chunk in a record.  Raises BadMessage; a key that is not the device id would scatter a device over partitions."""
        chunk = ImuChunk.from_bytes(record.value)
        if record.key != chunk.device_id.encode():
            raise SchemaMismatch(f"the key must be the device id {chunk.device_id!r}, got {record.key!r}", path="(key)")
        if (wrong := check_times(chunk, record.timestamp * 1_000_000, self.settings.clock_ahead_s)) is not None:
            raise wrong
        return chunk

    # ---- messages in -----------------------------------------------------------------------------------------------------------

    def process(self, batch: Sequence[Incoming]) -> Outcome:
        """Gait samples and walking events of a batch of chunks."""
        outcome = Outcome()
        chunks: list[ImuChunk] = [incoming.message for incoming in batch]  # type: ignore[misc]
        busy: dict[int, Device] = {}
        for incoming, chunk, wrong in zip(batch, chunks, check_values(chunks), strict=True):
            try:
                if wrong is not None:
                    raise wrong
                device = self._device(incoming, chunk, outcome)
                pieces = device.order.take(incoming, chunk)
            except BadMessage as error:
                outcome.letters.append((incoming, error))
                continue
            if pieces is None:
                outcome.repeated[incoming.at.topic] += 1
            elif pieces:
                device.queue.extend(pieces)
                busy[device.slot] = device
        while waiting := [device for device in busy.values() if device.queue]:
            self._round(waiting, outcome)
        metrics.STREAMS.labels(self.role).set(len(self._devices))
        return outcome

    def _device(self, incoming: Incoming, chunk: ImuChunk, outcome: Outcome) -> Device:
        """The chunk's device, begun anew when its session changed or it was silent for long.  Raises BadClock for a former session."""
        idle_ns = int(self.settings.idle_release_s * 1e9)
        name = (incoming.at, chunk.device_id)
        device = self._devices.get(name)
        # First of all, as a tick would have done at that time: whether one came in between must not matter.
        if device is not None and incoming.received_ns - device.order.last_received_ns > idle_ns:
            self._finish(device, outcome)
            self._drop(name)
            device = None
        if device is None:
            device = self._devices[name] = Device(incoming.at, self._grid.slot())
            self._begin(device, chunk)
        elif chunk.session != device.order.session:
            if device.order.is_former(chunk.session, incoming.received_ns, idle_ns):
                raise BadClock(f"session {chunk.session!r} of this device was followed by another", reason="old_session", path="session")
            self._finish(device, outcome)
            self._begin(device, chunk)
        device.order.last_received_ns = max(device.order.last_received_ns, incoming.received_ns)
        return device

    def _begin(self, device: Device, chunk: ImuChunk) -> None:
        session, decided_ns = self._decided.pop((device.at, chunk.device_id), ("", None))
        device.order.restart(chunk.session, decided_ns if session == chunk.session else None)
        device.bouts = Bouts(chunk.device_id, chunk.session)
        device.previous_walks = False

    def _finish(self, device: Device, outcome: Outcome) -> None:
        """Everything queued is cut, then the open bout ends."""
        while device.queue:
            self._round([device], outcome)
        self._emit(device, outcome, device.bouts.end())
        device.previous_walks = False

    # ---- rounds: as many samples of every device as its ring takes, one batch through the network ------------------------------

    def _round(self, devices: list[Device], outcome: Outcome) -> None:
        chains = []
        for device in devices:
            chain = self._next_chain(device)
            if chain[0].breaks:
                metrics.GAPS.inc()
                self._emit(device, outcome, device.bouts.end())
                device.previous_walks, device.next_block = False, 0
            chains.append(chain)
        self._grid.add([device.slot for device in devices], chains)
        self._cut(devices, outcome)

    def _next_chain(self, device: Device) -> list[Piece]:
        room_ns = (self._grid.ring - self._needed_samples - 2 * BLOCK_SAMPLES) * GRID_STEP_NS
        chain = [device.queue.popleft()]
        while device.queue and not device.queue[0].breaks and device.queue[0].last_ns - chain[0].start_ns < room_ns:
            chain.append(device.queue.popleft())
        return chain

    def _cut(self, devices: list[Device], outcome: Outcome) -> None:
        slot_D = np.fromiter((device.slot for device in devices), np.int64, len(devices))
        first_D = -(-(self._grid.begin[slot_D] + self._extractor.context_samples) // BLOCK_SAMPLES)
        next_D = np.maximum(np.fromiter((device.next_block for device in devices), np.int64, len(devices)), first_D)
        count_D = np.maximum((self._grid.end[slot_D] - self._extractor.lookahead_samples) // BLOCK_SAMPLES - next_D, 0)
        total = int(count_D.sum())
        if not total:
            return
        device_B = np.repeat(np.arange(len(devices)), count_D)
        block_B = next_D[device_B] + np.arange(total) - np.repeat(np.cumsum(count_D) - count_D, count_D)
        slot_B = slot_D[device_B]
        input_BT6 = self._grid.gather(slot_B, block_B * BLOCK_SAMPLES - self._extractor.context_samples, self._input_samples)
        probability_BT = self._predict(input_BT6)
        mean_B = probability_BT.mean(axis=1)
        walks_B = walking_blocks(probability_BT) & (mean_acc_ms2(input_BT6) >= LEAST_MEAN_ACC_MS2)
        first_B = np.append(True, device_B[1:] != device_B[:-1])
        before_B = np.append(False, walks_B[:-1])
        firsts = device_B[first_B].tolist()
        before_B[first_B] = [devices[d].previous_walks for d in firsts]
        mean_before_B = np.append(0.0, mean_B[:-1])
        mean_before_B[first_B] = [devices[d].previous_mean for d in firsts]
        self._bouts(devices, device_B, slot_B, block_B, walks_B, before_B, (mean_B + mean_before_B) / 2, outcome)
        last_B = np.append(first_B[1:], True)
        lasts = (array[last_B].tolist() for array in (device_B, block_B, walks_B, mean_B))
        for d, block, walks, mean in zip(*lasts, strict=True):
            devices[d].next_block, devices[d].previous_walks, devices[d].previous_mean = block + 1, walks, mean

    def _predict(self, input_BT6: NDArray[np.float32]) -> NDArray[np.float32]:
        began = time.perf_counter()
        probability_BT = self._extractor.predict(input_BT6)
        metrics.FORWARD_SECONDS.labels(self._extractor.name).observe(time.perf_counter() - began)
        metrics.FORWARD_BATCH.labels(self._extractor.name).observe(len(input_BT6))
        return probability_BT

    def _bouts(
        self,
        devices: list[Device],
        device_B: NDArray[np.int64],
        slot_B: NDArray[np.int64],
        block_B: NDArray[np.int64],
        walks_B: NDArray[np.bool_],
        before_B: NDArray[np.bool_],
        walking_B: NDArray[np.float64],
        outcome: Outcome,
    ) -> None:
        """Where two blocks in a row walk there is a window; where a walking block is followed by another kind, a bout may end."""
        window_B = walks_B & before_B
        chosen = np.flatnonzero(window_B)
        samples_WT6 = self._grid.gather(slot_B[chosen], (block_B[chosen] - 1) * BLOCK_SAMPLES, WINDOW_SAMPLES)
        rate_W, regularity_W = step_rate_hz(samples_WT6) if len(chosen) else (np.zeros(0), np.zeros(0))
        windows = zip(samples_WT6, np.minimum(walking_B[chosen], 1.0).tolist(), rate_W.tolist(), regularity_W.tolist(), strict=True)
        metrics.WINDOWS.labels(self.role).inc(len(chosen))
        rows = np.flatnonzero(before_B)
        for d, block, goes_on in zip(device_B[rows].tolist(), block_B[rows].tolist(), window_B[rows].tolist(), strict=True):
            device = devices[d]
            if not goes_on:
                self._emit(device, outcome, device.bouts.end())
                continue
            needed = (block + 1) * BLOCK_SAMPLES + self._extractor.lookahead_samples - 1
            began, sample = device.bouts.walk(Window(block, *next(windows), device.order.covering(needed * GRID_STEP_NS)))
            self._emit(device, outcome, began)
            key = sample.stream_key.encode()
            outcome.outputs.append(Output(device.at, topics.SAMPLES_INERTIAL.name, key, sample.to_bytes(), sample.id))
            if self._two_step:
                for cut in two_step_samples_of(sample, self._grid, device.slot, block, device.bouts.open_since):
                    outcome.outputs.append(Output(device.at, topics.SAMPLES_INERTIAL.name, key, cut.to_bytes(), cut.id))

    def _emit(self, device: Device, outcome: Outcome, event: WalkingEvent | None) -> None:
        if event is not None:
            key = event.stream_key.encode()
            outcome.outputs.append(Output(device.at, topics.WALKING_EVENTS.name, key, event.to_bytes(), event.id))

    # ---- commits and restarts ----------------------------------------------------------------------------------------------------

    def tick(self, at: TopicPartition, now_ns: int) -> Outcome:
        """Devices silent for `idle_release_s` are forgotten: their bout ends, their hold on commits too."""
        outcome = Outcome()
        oldest_ns = now_ns - int(self.settings.idle_release_s * 1e9)
        for name, device in list(self._devices.items()):
            if name[0] == at and device.order.last_received_ns < oldest_ns:
                self._finish(device, outcome)
                self._drop(name)
        return outcome

    def hold(self, at: TopicPartition) -> int | None:
        """The block before the next one must be decided again by a successor: hold back to where its input begins."""
        back = BLOCK_SAMPLES + max(self._extractor.context_samples, BACK_SAMPLES * self._two_step) + 1
        offsets = []
        for device in self._devices.values():
            if device.at == at:
                index = max(device.next_block * BLOCK_SAMPLES - back, int(self._grid.begin[device.slot]))
                needed = device.order.oldest_needed(index * GRID_STEP_NS, int(self.settings.idle_release_s * 1e9))
                if needed is not None:
                    offsets.append(needed)
        return min(offsets, default=None)

    def restore(self, at: TopicPartition, emitted: Sequence[Emitted]) -> None:
        """Each device's bout goes on as the gait sample of its last window says."""
        for e in emitted:
            if e.topic == topics.SAMPLES_INERTIAL.name:
                sample = GaitSample.from_bytes(e.value)
                if sample.cut != CUT:
                    continue  # every walking block has a sample of this cut too, and that one tells its bout
                device = self._devices.get((at, sample.stream_key))
                if device is not None:
                    device.bouts.take_over(sample)

    def forget(self, at: TopicPartition) -> None:
        """Drop the devices of a partition."""
        for name in [name for name in self._devices if name[0] == at]:
            self._drop(name)
        self._decided = {name: decided for name, decided in self._decided.items() if name[0] != at}

    def _drop(self, name: tuple[TopicPartition, str]) -> None:
        device = self._devices.pop(name)
        self._grid.release(device.slot)
        if device.order.session is not None and device.order.frontier_ns is not None:
            self._decided[name] = (device.order.session, device.order.frontier_ns)
            if len(self._decided) > MOST_SILENT_DEVICES:
                del self._decided[next(iter(self._decided))]


def mean_acc_ms2(input_BT6: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B,) mean |acc|: chunks too short to be checked for units alone are caught here, in g nothing walks."""
    return np.sqrt(np.einsum("btc,btc->bt", input_BT6[..., :3], input_BT6[..., :3])).mean(axis=1)
