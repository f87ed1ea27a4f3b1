"""Connections: framing, limits, one request after the other, and an answer or a closed connection for whatever comes in."""

import asyncio
import logging
import struct
from collections import deque
from typing import cast

from kio.schema.errors import ErrorCode

from streams.broker.api import API_VERSIONS_KEY, BY_VERSION
from streams.broker.api.cluster import versions_response
from streams.broker.state import BrokerState, Caller
from streams.broker.wire import MalformedRequest, decode, encode

logger = logging.getLogger(__name__)

_FRAME_HEAD = struct.Struct(">i")
_REQUEST_HEAD = struct.Struct(">hhi")  # api key, api version, correlation id
_MAX_QUEUED = 32  # requests that a client may send ahead before the broker stops reading from it


class Connection(asyncio.Protocol):
    """One client. Requests are answered strictly in order, as clients rely on it."""

    def __init__(self, broker: BrokerState, connections: "set[Connection]") -> None:
        self._broker = broker
        self._connections = connections
        self._received = bytearray()
        self._frames: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._is_paused = False
        self._host = ""
        self._transport: asyncio.Transport
        self._worker: asyncio.Task[None] | None = None

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        if len(self._connections) >= self._broker.limits.connections:
            logger.warning("connection refused: %d are open", len(self._connections))
            self.close()
            return
        self._connections.add(self)
        self._host = str((transport.get_extra_info("peername") or ("",))[0])
        self._worker = asyncio.get_running_loop().create_task(self._serve())

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        if self._worker is not None:
            self._worker.cancel()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= _FRAME_HEAD.size:
            (size,) = _FRAME_HEAD.unpack_from(self._received)
            if not _REQUEST_HEAD.size <= size <= self._broker.limits.request_bytes:
                logger.warning("connection closed: a request of %d bytes", size)
                self._received.clear()
                self.close()
                return
            end = _FRAME_HEAD.size + size
            if len(self._received) < end:
                break
            with memoryview(self._received) as view:
                self._frames.append(bytes(view[_FRAME_HEAD.size : end]))
            del self._received[:end]
            self._arrived.set()
        if len(self._frames) >= _MAX_QUEUED and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    # --- requests

    def close(self) -> None:
        """Drop the client at once."""
        self._transport.abort()

    async def _serve(self) -> None:
        while True:
            while not self._frames:
                self._arrived.clear()
                await self._arrived.wait()
            frame = self._frames.popleft()
            if self._is_paused and len(self._frames) < _MAX_QUEUED // 2:
                self._is_paused = False
                self._transport.resume_reading()
            try:
                answer = await self._answer(frame)
            except MalformedRequest as error:
                logger.warning("connection closed: %s", error)
                self.close()
                return
            except Exception:
                # A fault of the broker must not take it down: this client reconnects, the others go on.
                logger.exception("request failed: key %d, version %d", *_REQUEST_HEAD.unpack_from(frame)[:2])
                self.close()
                return
            if answer is not None:
                self._transport.write(answer)
                await self._may_write.wait()

    async def _answer(self, frame: bytes) -> bytes | None:
        key, version, correlation_id = _REQUEST_HEAD.unpack_from(frame)
        api = BY_VERSION.get((key, version))
        if api is None:
            if key == API_VERSIONS_KEY:  # the one request that a client may send before it knows the versions
                return encode(BY_VERSION[key, 0].response(0), correlation_id, versions_response(ErrorCode.unsupported_version))
            raise MalformedRequest(f"request {key} in version {version} is not supported")
        schema = api.request(version)
        header, at = decode(schema.__header_schema__, schema.__header_schema__, frame, 0)
        request, _ = decode(schema, api.request(api.newest), frame, at)
        response = await api.handler(self._broker, Caller(header.client_id or "", self._host), request)
        return None if response is None else encode(api.response(version), correlation_id, response)
