"""Who holds which bearer token and what each role may do.

viewer    watches events and sees who is enrolled
operator  enrols, renames, merges, erases, answers dead letters
admin     everything: takes the gallery out and brings one in, seals it under a new key, reads the audit trail
"""

from __future__ import annotations

import hmac
import re
import time
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING

from streams.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.settings import Settings


class Role(IntEnum):
    """Ordered: a higher role may do all that a lower one may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


LEAST_ROLE: dict[tuple[str, str], Role] = {
    ("GET", "/api/subjects"): Role.VIEWER,
    ("GET", "/api/subjects/{subject}"): Role.VIEWER,
    ("GET", "/api/live"): Role.VIEWER,
    ("GET", "/api/cameras/picture"): Role.VIEWER,
    ("POST", "/api/enrol"): Role.OPERATOR,
    ("POST", "/api/subjects/{subject}/{kind}"): Role.OPERATOR,
    ("POST", "/api/subjects/{subject}/reseal"): Role.ADMIN,
    ("DELETE", "/api/subjects/{subject}"): Role.OPERATOR,
    ("GET", "/api/deadletters"): Role.OPERATOR,
    ("POST", "/api/deadletters/replay"): Role.OPERATOR,
    ("GET", "/api/export"): Role.ADMIN,
    ("POST", "/api/import"): Role.ADMIN,
    ("GET", "/api/audit"): Role.ADMIN,
}
"""The least role of each route; one that is not here needs an admin."""

LEAST_TOKEN_CHARACTERS = 16
"""As text; 16 random letters and digits are 95 bits."""


def least_role(method: str, route: str) -> Role:
    """The least role that may use a route, given as aiohttp's canonical path."""
    return LEAST_ROLE.get(("GET" if method == "HEAD" else method, route), Role.ADMIN)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a token belongs to.  The single `api_token` has no name: whoever holds it is named by address or by the gateway."""

    role: Role
    name: str | None = None


class Tokens:
    """Every token that is accepted, as SHA-256; a look-up takes the same time for each of them, whatever was sent."""

    def __init__(self, settings: Settings) -> None:
        """Read `api_token` (an admin), `api_tokens` and `api_tokens_file`.  Raises Misconfigured; never with a token in the text."""
        self._holders: list[tuple[bytes, Holder]] = []
        if settings.api_token is not None:
            self._holders.append((_digest(settings.api_token.get_secret_value()), Holder(Role.ADMIN)))
        if settings.api_tokens is not None:
            self._add(re.split(r"[\n;]", settings.api_tokens.get_secret_value()), "api_tokens")
        if settings.api_tokens_file is not None:
            try:
                lines = settings.api_tokens_file.read_text().splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise Misconfigured(f"api_tokens_file {settings.api_tokens_file} cannot be read: {type(error).__name__}") from None
            self._add(lines, str(settings.api_tokens_file))

    def __bool__(self) -> bool:
        return bool(self._holders)

    def holder(self, authorization: str) -> Holder | None:
        """Whose token an Authorization header carries."""
        scheme, _, token = authorization.partition(" ")
        sent, found = _digest(token), None
        for digest, holder in self._holders:
            if hmac.compare_digest(sent, digest):
                found = holder
        return found if scheme.lower() == "bearer" else None

    def _add(self, lines: list[str], source: str) -> None:
        """Lines `ROLE NAME TOKEN`, or `ROLE NAME sha256:HEX` where the token itself shall not lie on the disk; # begins a comment."""
        for number, line in enumerate(lines, 1):
            parts = line.split("#", 1)[0].split()
            if not parts:
                continue
            where = f"{source}, entry {number}"
            if len(parts) != 3 or parts[0].upper() not in Role.__members__ or "/" in parts[1] or len(parts[1]) > 60:
                raise Misconfigured(f"{where}: ROLE NAME TOKEN is needed; roles are {', '.join(r.name.lower() for r in Role)}")
            if hashed := re.fullmatch(r"sha256:([0-9a-f]{64})", parts[2]):
                digest = bytes.fromhex(hashed[1])
            elif len(parts[2]) >= LEAST_TOKEN_CHARACTERS:
                digest = _digest(parts[2])
            else:
                raise Misconfigured(f"{where}: a token has at least {LEAST_TOKEN_CHARACTERS} characters")
            if any(digest == known for known, _ in self._holders):
                raise Misconfigured(f"{where}: this token is given already")
            self._holders.append((digest, Holder(Role[parts[0].upper()], parts[1])))


class FailureLimit:
    """Slows down who guesses: after `most` failures within `window_s` an address must wait.

    Who was let in before from that address with the same header still is, so that behind a common proxy nobody can shut out the others.
    """

    MOST_ADDRESSES = 10_000
    """Bounds memory; beyond it the oldest failures are forgotten first."""

    def __init__(self, most: int = 10, window_s: float = 60.0, now: Callable[[], float] = time.monotonic) -> None:
        self.most, self.window_s, self._now = most, window_s, now
        self._failures: dict[str, list[float]] = {}
        self._welcome: dict[tuple[str, bytes], None] = {}

    def wait_s(self, address: str, authorization: str) -> float:
        """How long this address must wait before it may try; 0 when it may."""
        recent = self._recent(address)
        if len(recent) < self.most or (address, _digest(authorization)) in self._welcome:
            return 0.0
        return recent[0] + self.window_s - self._now()

    def failed(self, address: str) -> None:
        """A wrong token came from there."""
        recent = [*self._recent(address), self._now()][-self.most :]
        self._failures.pop(address, None)
        self._failures[address] = recent
        _forget_oldest(self._failures, self.MOST_ADDRESSES)

    def succeeded(self, address: str, authorization: str) -> None:
        """A right token came from there."""
        self._welcome[address, _digest(authorization)] = None
        _forget_oldest(self._welcome, self.MOST_ADDRESSES)

    def _recent(self, address: str) -> list[float]:
        since_s = self._now() - self.window_s
        return [at_s for at_s in self._failures.get(address, []) if at_s > since_s]


def _forget_oldest(table: dict, most: int) -> None:
    if len(table) > most:
        del table[next(iter(table))]


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogateescape")).digest()
