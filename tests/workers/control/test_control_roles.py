"""Tokens with roles: who may do what, who must wait, who is named in the audit trail."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import Misconfigured
from streams.settings import Settings
from workers.control.guard import Guard, check_exposure
from workers.control.http import Api
from workers.control.roles import LEAST_ROLE, FailureLimit, Holder, Role, Tokens, least_role

VIEWER, OPERATOR, ADMIN = "v" * 20, "o" * 20, "a" * 20
LIST = f"viewer door {VIEWER}; operator Ada {OPERATOR}\n admin root {ADMIN}  # the safe\n"


def of(**given: Any) -> Tokens:
    """The tokens of these settings."""
    return Tokens(Settings(**given))


def test_tokens_from_the_environment_a_file_and_the_single_one(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# who\n\nviewer phone sha256:{sha256(b'a secret in no file').hexdigest()}\n")
    tokens = of(api_token="t", api_tokens=LIST, api_tokens_file=file)
    assert tokens.holder("Bearer t") == Holder(Role.ADMIN, None)
    assert tokens.holder(f"bearer {VIEWER}") == Holder(Role.VIEWER, "door")
    assert tokens.holder(f"Bearer {OPERATOR}") == Holder(Role.OPERATOR, "Ada")
    assert tokens.holder(f"Bearer {ADMIN}") == Holder(Role.ADMIN, "root")
    assert tokens.holder("Bearer a secret in no file") == Holder(Role.VIEWER, "phone")
    assert not of() and tokens


@given(
    st.text(max_size=40)
    | st.sampled_from([VIEWER, f"Basic {VIEWER}", f"Bearer {VIEWER} ", f"Bearer  {VIEWER}", "Bearer ", "Bearer t\udcff"])
)
def test_nothing_else_is_a_token(sent: str) -> None:
    if sent.lower() != f"bearer {VIEWER}":
        assert of(api_tokens=LIST).holder(sent) is None


WRONG = [
    (f"viewer {VIEWER}", "entry 1: ROLE NAME TOKEN"),  # no name
    (f"viewer a {VIEWER};king b {ADMIN}", "entry 2: ROLE NAME TOKEN"),  # no such role
    (f"viewer a/b {VIEWER}", "entry 1: ROLE NAME TOKEN"),  # a slash separates keys
    ("viewer a short", "at least 16 characters"),
    (f"viewer a {VIEWER};admin b {VIEWER}", "entry 2: this token is given already"),  # which role would it be?
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_unusable_lists_are_refused_without_showing_a_token(text: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said) as raised:
        of(api_tokens=text)
    assert VIEWER not in str(raised.value) and "short" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        of(api_tokens_file=tmp_path / "nothing")


def test_any_token_lets_the_api_leave_loopback(tmp_path: Path) -> None:
    check_exposure(Settings(api_host="0.0.0.0", api_tokens=LIST))  # type: ignore[arg-type]
    file = tmp_path / "tokens"
    file.write_text("# nobody yet\n")
    with pytest.raises(Misconfigured, match="GAITSTREAM_API_TOKENS"):
        check_exposure(Settings(api_host="0.0.0.0", api_tokens_file=file))


def application(settings: Settings) -> web.Application:
    """The API's own routes and guard; each handler answers with the actor instead of its work, which needs no broker here."""
    api = Api(settings, *[None] * 3, spaces={"s"})  # type: ignore[arg-type, misc]
    guard = Guard(settings)

    async def done(request: web.Request) -> web.Response:
        return web.Response(text=guard.actor(request) if request.path.startswith("/api/") else "")

    app = web.Application(middlewares=[guard.middleware])
    for route in api.application().router.routes():
        if route.method != "HEAD" and route.resource is not None:
            app.router.add_route(route.method, route.resource.canonical, done)
    return app


class Server:
    """The application on a free port of loopback; `async with`."""

    def __init__(self, settings: Settings) -> None:
        self._runner = web.AppRunner(application(settings))

    async def __aenter__(self) -> "Server":
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._runner.cleanup()

    async def ask(self, method: str, path: str, token: str | None, **headers: str) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers."""
        headers = headers | ({"Authorization": f"Bearer {token}"} if token else {}) | {"Content-Type": "application/json"}
        async with ClientSession() as session, session.request(method, self.url + path, headers=headers) as response:
            return response.status, await response.text(), dict(response.headers)


def test_every_route_of_the_api_has_its_least_role() -> None:
    settings = Settings()
    routes = {(r.method, r.resource.canonical) for r in application(settings).router.routes() if r.resource is not None}
    assert {route for route in routes if route[1].startswith("/api/")} == set(LEAST_ROLE)
    assert least_role("HEAD", "/api/export") == Role.ADMIN and least_role("GET", "/api/of tomorrow") == Role.ADMIN


async def test_each_route_with_each_role() -> None:
    async with Server(Settings(api_tokens=LIST)) as server:  # type: ignore[arg-type]
        for (method, route), least in LEAST_ROLE.items():
            path = route.replace("{subject}", "Ada").replace("{kind}", "rename")
            assert (await server.ask(method, path, None))[0] == 401
            for role, token in ((Role.VIEWER, VIEWER), (Role.OPERATOR, OPERATOR), (Role.ADMIN, ADMIN)):
                status, text, _ = await server.ask(method, path, token)
                assert status == (200 if role >= least else 403), (method, path, role, text)
                assert role >= least or f"needs the role {least.name.lower()}" in text
        assert (await server.ask("HEAD", "/api/export", VIEWER))[0] in (403, 405)
        assert (await server.ask("GET", "/api/nothing", None))[0] == 401  # what there is, is nobody's business either
        assert (await server.ask("GET", "/healthz", None))[0] == 200


async def test_the_audit_trail_names_the_token() -> None:
    async with Server(Settings(api_token="single", api_tokens=LIST)) as server:  # type: ignore[arg-type]
        header = {"X-Gaitstream-Actor": "Grace"}
        assert (await server.ask("GET", "/api/subjects", OPERATOR))[1] == "http:Ada"
        assert (await server.ask("GET", "/api/subjects", OPERATOR, **header))[1] == "http:Ada:Grace"  # cannot pass for somebody else
        assert (await server.ask("GET", "/api/subjects", "single", **header))[1] == "http:Grace"
        assert (await server.ask("GET", "/api/subjects", "single"))[1] == "http:127.0.0.1"


async def test_guessing_is_slowed_down() -> None:
    async with Server(Settings(api_tokens=LIST)) as server:  # type: ignore[arg-type]
        assert (await server.ask("GET", "/api/subjects", VIEWER))[0] == 200
        for _ in range(20):
            assert (await server.ask("GET", "/api/subjects", None))[0] == 401  # a page without a token guesses nothing
        assert [(await server.ask("GET", "/api/subjects", f"guess {i}"))[0] for i in range(12)] == [401] * 10 + [429] * 2
        status, _, headers = await server.ask("GET", "/api/subjects", ADMIN)  # right, but nobody could tell it from the next guess
        assert status == 429 and 0 < int(headers["Retry-After"]) <= 60
        assert (await server.ask("GET", "/api/subjects", VIEWER))[0] == 200  # was let in before


@given(st.lists(st.tuples(st.sampled_from(["fail", "wait"]), st.integers(0, 40)), max_size=60))
def test_never_more_failures_than_allowed_in_a_window(steps: list[tuple[str, int]]) -> None:
    now, tried = [0.0], []
    limit = FailureLimit(most=3, window_s=60.0, now=lambda: now[0])
    for step, seconds in steps:
        if step == "wait":
            now[0] += seconds
        elif (wait_s := limit.wait_s("a", "Bearer x")) <= 0:
            limit.failed("a")
            tried.append(now[0])
        else:
            assert wait_s <= 60
        assert limit.wait_s("b", "Bearer x") == 0
    for at in tried:
        assert sum(at <= other < at + 60 for other in tried) <= 3


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FailureLimit, "MOST_ADDRESSES", 5)
    limit = FailureLimit()
    for i in range(50):
        limit.failed(f"address {i}")
        limit.succeeded(f"address {i}", "Bearer x")
    assert len(limit._failures) == len(limit._welcome) == 5
