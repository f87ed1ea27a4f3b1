"""The broker as a whole: start, stop, and running as a process of its own."""

import asyncio
import contextlib
import fcntl
import ipaddress
import logging
import os
import resource
import signal
import socket
import types
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from streams.broker.housekeeping import Housekeeper
from streams.broker.server import Connection
from streams.broker.state import BrokerState, Limits

logger = logging.getLogger(__name__)

HOUSEKEEPING_S = 5.0


class NotLoopback(ValueError):
    """The broker has no authentication and no encryption, so it listens on this machine only."""


class DirectoryInUse(RuntimeError):
    """Another broker works on the data directory."""


class EmbeddedBroker:
    """A single-node Kafka broker on the event loop it is started on.

    Args:
        data_dir: everything it keeps; created where missing.
        host: a loopback address or name.
        port: 0 takes any free one.
        fsync: ``"never"`` leaves writing to the operating system (survives kill -9 of the process, not a power failure);
            ``"batch"`` acknowledges a batch once it is on the disk.
        auto_create_topics: whether asking for the metadata of an unknown topic creates it.
        default_partitions: of topics created without a number.
        housekeeping_s: period of retention and compaction.
        limits: what clients may ask for.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        fsync: Literal["never", "batch"] = "never",
        auto_create_topics: bool = False,
        default_partitions: int = 1,
        housekeeping_s: float = HOUSEKEEPING_S,
        limits: Limits | None = None,
    ) -> None:
        self.bootstrap = ""
        self.state: BrokerState
        self._data_dir = Path(data_dir)
        self._host, self._port = host, port
        self._fsync: Literal["never", "batch"] = fsync
        self._auto_create_topics = auto_create_topics
        self._default_partitions = default_partitions
        self._housekeeping_s = housekeeping_s
        self._limits = limits or Limits()
        self._connections: set[Connection] = set()
        self._stack = contextlib.ExitStack()
        self._server: asyncio.Server | None = None
        self._housekeeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Replay the logs, then listen.

        Raises:
            NotLoopback: ``host`` is, or may be, reachable from outside.
            DirectoryInUse: another broker has the directory.
            OSError: the port is taken, or the directory cannot be written.
        """
        family, address = loopback_address(self._host)
        self._data_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._stack.enter_context(_locked(self._data_dir / "lock"))
            broker = self.state = BrokerState(self._data_dir, self._fsync, self._default_partitions, self._auto_create_topics, self._limits)
            self._stack.callback(broker.close)
            broker.load()
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: Connection(broker, self._connections), address, self._port, family=family, backlog=512
            )
        except BaseException:
            self._stack.close()
            raise
        broker.host, broker.port = self._server.sockets[0].getsockname()[:2]
        self.bootstrap = f"[{broker.host}]:{broker.port}" if family == socket.AF_INET6 else f"{broker.host}:{broker.port}"
        self._housekeeping = loop.create_task(Housekeeper(broker.topics, self._housekeeping_s).run())
        logger.info("broker on %s, data in %s", self.bootstrap, self._data_dir)

    async def stop(self) -> None:
        """Close connections and files; does nothing where it is not running."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            await asyncio.gather(self._housekeeping, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None
        self._stack.close()

    async def __aenter__(self) -> "EmbeddedBroker":
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None) -> None:
        await self.stop()


def loopback_address(host: str) -> tuple[socket.AddressFamily, str]:
    """The one address to listen on, IPv4 if there is a choice.

    Raises:
        NotLoopback: one of the addresses of ``host`` is not of the loopback interface.
        OSError: the name does not resolve.
    """
    found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    addresses = sorted({(family, str(where[0])) for family, _, _, _, where in found})
    outside = [address for _, address in addresses if not ipaddress.ip_address(address.partition("%")[0]).is_loopback]
    if outside:
        raise NotLoopback(
            f"the embedded broker refuses to listen on {host!r} ({', '.join(outside)}): it has no authentication, so only loopback "
            "addresses such as 127.0.0.1 are allowed. For other machines run Apache Kafka and set GAITSTREAM_BOOTSTRAP."
        )
    return addresses[0]


@contextlib.contextmanager
def _locked(path: Path):  # type: ignore[no-untyped-def]
    """Hold the data directory; the lock goes with the process, however that ends."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise DirectoryInUse(f"another broker works on {path.parent}") from error
    finally:
        os.close(fd)


def serve(data_dir: Path, host: str = "127.0.0.1", port: int = 9092, ready: Callable[[str], None] | None = None) -> None:
    """Run a broker until SIGTERM or SIGINT; ``ready`` is called with its address once it answers.

    Raises:
        NotLoopback, DirectoryInUse, OSError: as EmbeddedBroker.start.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:  # every partition that is written to keeps a file open
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(EmbeddedBroker(data_dir, host=host, port=port), ready))


async def _serve(broker: EmbeddedBroker, ready: Callable[[str], None] | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with broker:
        if ready is not None:
            ready(broker.bootstrap)
        await stopped.wait()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not available on every platform
        return None
    return uvloop.new_event_loop
