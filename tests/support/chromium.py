"""A real headless Chromium, driven over its debugging protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

START_TIMEOUT_S = 60.0
INSTALL = "apt-get install --no-install-recommends chromium"


def chromium_path() -> str:
    """Where Chromium is; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip(f"no Chromium here: {INSTALL}")
    return found


class Browser:
    """One window.  `console` gathers what the page's scripts complain about."""

    def __init__(self, folder: Path, width: int = 1200, height: int = 900) -> None:
        self._folder, self._size = folder, (width, height)
        self._ids = itertools.count(1)
        self.console: list[str] = []

    async def __aenter__(self) -> Self:
        arguments = [
            chromium_path(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--remote-debugging-port=0", f"--user-data-dir={self._folder}", "--window-size={},{}".format(*self._size), "about:blank",
        ]  # fmt: skip
        devnull = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(*arguments, stdout=devnull, stderr=devnull)
        self._session = aiohttp.ClientSession()
        port_file = self._folder / "DevToolsActivePort"
        async with asyncio.timeout(START_TIMEOUT_S):
            while not port_file.exists() or not port_file.read_text().strip():  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0.05)
            port = port_file.read_text().splitlines()[0]
            targets: list[dict[str, Any]] = []
            while not targets:
                async with self._session.get(f"http://127.0.0.1:{port}/json/list") as response:
                    targets = [target for target in await response.json() if target["type"] == "page"]
        self._socket = await self._session.ws_connect(targets[0]["webSocketDebuggerUrl"], max_msg_size=64 * 1024 * 1024)
        for domain in ("Runtime.enable", "Page.enable", "Log.enable"):
            await self.call(domain)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._session.close()
        self._process.terminate()
        await asyncio.wait_for(self._process.wait(), 20)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One call of the protocol."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = json.loads((await self._socket.receive(START_TIMEOUT_S)).data)
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.console.append(json.dumps(message["params"])[:500])
            if message.get("id") == number:
                assert "error" not in message, message
                return message.get("result", {})

    async def open(self, url: str) -> None:
        """Go to a page."""
        await self.call("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """Value of a JavaScript expression (promises are waited for)."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str, timeout_s: float = 60.0) -> Any:
        """Wait for an expression to be true; its value.  Fails with what the page shows."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (value := await self._value_unless_leaving(script)):  # noqa: ASYNC110  # the page tells nobody
                    await asyncio.sleep(0.1)
        except TimeoutError:
            shown = await self.run("document.body.innerText")
            raise AssertionError(f"waited {timeout_s} s for {script}; the page shows:\n{shown}\n{self.console}") from None
        return value

    async def _value_unless_leaving(self, script: str) -> Any:
        """As `run`; None while the page is just being left for another (a sign-in loads it again)."""
        try:
            return await self.run(script)
        except AssertionError as error:
            if "navigated" in str(error) or "context was destroyed" in str(error):
                return None
            raise

    async def size(self, width: int, height: int, *, mobile: bool) -> None:
        """Pretend to be another screen."""
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    async def picture(self, file: Path) -> None:
        """Write what is seen as PNG."""
        content = base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])
        await asyncio.to_thread(file.write_bytes, content)
