"""A real mosquitto with TLS and a password file, in a process of its own."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.brokers import free_port
from tests.support.certificates import Authority

USER, PASSWORD = "bridge", "correct horse battery staple"


def program(name: str) -> str | None:
    """Where Debian puts it, on the path of an ordinary user or not."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


needs_mosquitto = pytest.mark.skipif(
    not (program("mosquitto") and program("mosquitto_passwd")), reason="mosquitto is not installed: apt-get install mosquitto"
)


class Mosquitto:
    """Started, killed and started again on the same port; persistent sessions live while it runs."""

    def __init__(self, folder: Path, authority: Authority, *extra: str) -> None:
        self.port = free_port()
        self._folder, self._process = folder, None
        self.ca_file = authority.ca_file
        certificate, key = authority.issue("mosquitto")
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        subprocess.run([str(program("mosquitto_passwd")), "-b", passwords, USER, PASSWORD], check=True, capture_output=True)
        lines = [
            f"listener {self.port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}", f"certfile {certificate}",
            f"keyfile {key}", "max_inflight_messages 0", "max_queued_messages 0", f"user {os.environ.get('USER', 'root')}", *extra,
        ]  # fmt: skip
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start and wait until it listens."""
        with (self._folder / "mosquitto.log").open("a") as log:
            self._process = subprocess.Popen([str(program("mosquitto")), "-c", self._folder / "mosquitto.conf"], stdout=log, stderr=log)
        deadline_s = time.monotonic() + 20
        while True:
            assert self._process.poll() is None and time.monotonic() < deadline_s, (self._folder / "mosquitto.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
