"""Phones publish to an MQTT broker; the bridge subscribes and publishes to Kafka.

Quality of service 1 end to end: a message is acknowledged to the MQTT broker when Kafka has its samples, and what was not is delivered
again after a reconnect (the broker keeps the session), which downstream recognises as repeated.  Back-pressure: while as many chunks as
allowed are on their way, nothing is read from the connection, so the broker queues.  A message that cannot be used is counted, logged
and acknowledged: it would never become better.

paho's own thread does the network, because only a callback that blocks stops it from reading; everything else is in the event loop.
"""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from streams import metrics
from streams.errors import BadMessage, Misconfigured, Unavailable
from workers.bridges.payload import read_push
from workers.bridges.publisher import Publisher
from workers.control.guard import is_loopback
from workers.health import Health

if TYPE_CHECKING:
    from concurrent.futures import Future

    from paho.mqtt.reasoncodes import ReasonCode

    from streams.settings import Settings

log = structlog.get_logger()

ROLE = "bridge-mqtt"

SESSION_KEPT_S = 3600
"""How long the MQTT broker queues for an absent bridge: as long as raw samples are kept in Kafka."""

MOST_UNACKNOWLEDGED = 1000
"""Messages with quality 1 or 2 that the broker sends ahead of our acknowledgements (MQTT 5 receive maximum)."""

TRY_AGAIN_S = 1.0


class MqttBridge:
    """One subscription and its producer; `health` has its /metrics, /healthz and /readyz."""

    def __init__(self, settings: Settings) -> None:
        """Raises Misconfigured when the password would travel unencrypted to another machine, or a file cannot be used."""
        self.settings = settings
        self.publisher = Publisher(settings, settings.bridge_max_in_flight, ROLE)
        self.health = Health(ROLE, self._missing)
        self._state: str | None = "not connected to the MQTT broker yet"
        self._subscribed = asyncio.Event()
        self._refused: Misconfigured | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: asyncio.Task[Any] | None = None
        self._stopping = False
        self._client = self._paho()

    def _paho(self) -> paho.Client:
        given = self.settings
        if given.mqtt_password is not None and not given.mqtt_tls and not is_loopback(given.mqtt_host):
            raise Misconfigured(f"the password would travel to {given.mqtt_host} unencrypted: set GAITSTREAM_MQTT_TLS")
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=given.mqtt_client_id,
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=True,
        )
        client.reconnect_delay_set(1, 30)
        if given.mqtt_username is not None:
            client.username_pw_set(given.mqtt_username, given.mqtt_password.get_secret_value() if given.mqtt_password else None)
        if given.mqtt_tls:
            try:
                client.tls_set_context(ssl.create_default_context(cafile=str(given.mqtt_ca_file) if given.mqtt_ca_file else None))
            except (OSError, ssl.SSLError) as error:
                raise Misconfigured(f"mqtt_ca_file {given.mqtt_ca_file}: {error}") from None
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_message = self._on_subscribe, self._on_message
        client.on_connect_fail = self._on_connect_fail
        return client

    # --- life

    async def start(self, within_s: float = 15.0) -> None:
        """Connect to both brokers and subscribe.  Raises KafkaError, Misconfigured (wrong password, unknown authority), Unavailable."""
        self._loop = asyncio.get_running_loop()
        await self.publisher.start()
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval, properties.ReceiveMaximum = SESSION_KEPT_S, MOST_UNACKNOWLEDGED
        where = f"{self.settings.mqtt_host}:{self.settings.mqtt_port}"
        try:
            await asyncio.to_thread(
                self._client.connect, self.settings.mqtt_host, self.settings.mqtt_port, 60, clean_start=False, properties=properties
            )
            self._client.loop_start()
            async with asyncio.timeout(within_s):
                await self._subscribed.wait()
        except ssl.SSLCertVerificationError as error:
            await self.stop()
            text = f"the certificate of the MQTT broker {where} is not trusted ({error.verify_message}): set GAITSTREAM_MQTT_CA_FILE"
            raise Misconfigured(text) from None
        except (OSError, TimeoutError) as error:
            await self.stop()
            raise Unavailable(f"the MQTT broker {where} does not answer: {error or self._state}") from None
        if self._refused:
            await self.stop()
            raise self._refused

    async def stop(self) -> None:
        """Stop reading, deliver what is in flight, acknowledge it, disconnect."""
        self._stopping = True
        if self._waiting:
            self._waiting.cancel()  # paho's thread waits for it
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=30)
        # The network thread may be waiting for the event loop, so it is not this thread that waits for it.
        await asyncio.to_thread(self._client.disconnect)
        await asyncio.to_thread(self._client.loop_stop)
        await self.publisher.stop()

    def pulse(self) -> None:
        """The event loop goes round."""
        self.health.progress()

    def _missing(self) -> str | None:
        return self._state or ("Kafka takes no samples" if self.publisher.failed else None)

    # --- callbacks, in paho's thread

    def _on_connect(self, client: paho.Client, _: Any, flags: paho.ConnectFlags, code: ReasonCode, __: Properties | None) -> None:
        if code.is_failure:
            self._say(f"the MQTT broker refuses the bridge: {code}", refused=True)
            return
        client.subscribe(self.settings.mqtt_topic, qos=1)

    def _on_subscribe(self, client: paho.Client, _: Any, __: int, codes: list[ReasonCode], ___: Properties | None) -> None:
        if codes[0].is_failure:
            self._say(f"the MQTT broker refuses the subscription to {self.settings.mqtt_topic}: {codes[0]}", refused=True)
            return
        self._say(None)

    def _on_disconnect(self, client: paho.Client, _: Any, __: Any, code: ReasonCode, ___: Properties | None) -> None:
        if not self._stopping:
            self._say(f"the connection to the MQTT broker ended: {code}")

    def _on_connect_fail(self, client: paho.Client, _: Any) -> None:
        self._say("the MQTT broker does not answer")

    def _on_message(self, client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        """Blocks until there is room: paho reads nothing meanwhile."""
        accepted: Future[None] = asyncio.run_coroutine_threadsafe(self._accept(message), self._loop)
        try:
            accepted.result()
        except (CancelledError, RuntimeError):  # the bridge ends: not acknowledged, so it is delivered again
            return

    def _say(self, state: str | None, *, refused: bool = False) -> None:
        def apply() -> None:
            if state is not None:
                log.warning(state)
            self._state = state
            if refused and not self._subscribed.is_set():
                self._refused = Misconfigured(f"{state}; see GAITSTREAM_MQTT_USERNAME, GAITSTREAM_MQTT_PASSWORD, GAITSTREAM_MQTT_TOPIC")
            if state is None or refused:
                self._subscribed.set()

        self._loop.call_soon_threadsafe(apply)

    # --- in the event loop

    async def _accept(self, message: paho.MQTTMessage) -> None:
        if self._stopping:
            return
        self._waiting = asyncio.current_task()
        await self.publisher.room()
        task = asyncio.create_task(self._handle(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.sleep(0)  # let it begin, so that its chunks count before the next message is let in

    async def _handle(self, message: paho.MQTTMessage) -> None:
        try:
            push = read_push(bytes(message.payload), clock_ahead_s=self.settings.clock_ahead_s)
        except BadMessage as error:
            metrics.MESSAGES.labels(ROLE, "rejected").inc()
            log.warning("an MQTT message cannot be used", topic=message.topic[:120], reason=error.why, path=error.path, error=str(error))
        else:
            while True:
                try:
                    await self.publisher.publish(push.chunks, within_s=None)
                    break
                except Unavailable as error:
                    metrics.MESSAGES.labels(ROLE, "postponed").inc()
                    log.warning("Kafka did not take a message", error=str(error))
                    if self._stopping:
                        return  # not acknowledged: the MQTT broker delivers it again
                    await asyncio.sleep(TRY_AGAIN_S)
                    await self.publisher.room()
            metrics.MESSAGES.labels(ROLE, "used").inc()
        if message.qos:
            self._client.ack(message.mid, message.qos)
