"""A network camera: MJPEG over HTTP, whose stream a test can end, and whose port stays the same while it is away."""

import asyncio
import contextlib
from collections.abc import Iterator

import cv2
import numpy as np
from aiohttp import web

WIDTH_PX, HEIGHT_PX = 160, 120
NUMBER_BITS = 12


def picture(number: int) -> np.ndarray:
    """A picture that carries its number as black and white bars, which JPEG does not harm."""
    bits = [(number >> b) & 1 for b in range(NUMBER_BITS)]
    return np.repeat(np.repeat(np.array(bits, np.uint8) * 255, 13)[None, :, None], HEIGHT_PX, 0).repeat(3, 2)


def number_of(image: np.ndarray) -> int:
    """The number in a picture."""
    return sum(int(image[HEIGHT_PX // 2, 13 * b + 6, 0] > 127) << b for b in range(NUMBER_BITS))


class MjpegCamera:
    """Sends pictures 0, 1, 2, ... at `hz`, whoever looks; `lose` ends every stream."""

    def __init__(self, port: int, hz: float = 50.0, accept: bool = True) -> None:
        self.uri, self.hz, self.connections, self.accept = f"http://127.0.0.1:{port}/live", hz, 0, accept
        self._port, self._lost = port, asyncio.Event()
        self._numbers = self._count()

    @staticmethod
    def _count() -> Iterator[int]:
        yield from range(1 << NUMBER_BITS)

    def lose(self) -> None:
        """End the streams that run now."""
        self._lost.set()
        self._lost = asyncio.Event()

    async def __aenter__(self) -> "MjpegCamera":
        application = web.Application()
        application.router.add_get("/live", self._stream)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.lose()
        await self._runner.cleanup()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        if not self.accept:
            return web.Response(status=503)
        lost = self._lost
        response = web.StreamResponse(headers={"Content-Type": "multipart/x-mixed-replace; boundary=part"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while not lost.is_set():
                jpeg = cv2.imencode(".jpg", picture(next(self._numbers)))[1].tobytes()
                head = b"--part\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                await response.write(head + jpeg + b"\r\n")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), 1 / self.hz)
        return response
