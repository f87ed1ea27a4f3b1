"""Who may ask over HTTP, how much, and how every error looks: `{"error": sentence, "reason": word}`."""

from __future__ import annotations

import json
import math
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web
from aiokafka.errors import KafkaError

from streams.errors import BadMessage, Misconfigured, Refused, Unavailable
from workers.control.client import NoReply
from workers.control.refusal import STATUS, Refusal
from workers.control.roles import FailureLimit, Holder, Role, Tokens, least_role

if TYPE_CHECKING:
    from streams.settings import Settings

log = structlog.get_logger()

ACTOR_HEADER = "X-Gaitstream-Actor"
"""Who asks, as the audit trail shall name them; a gateway that signs people in sets it."""

HOLDER = web.RequestKey("holder", Holder)
"""Where a request keeps whose token it carries."""

KEPT_HEADERS = ("Retry-After", "WWW-Authenticate", "Allow")
"""Of an HTTPException, whose own body is replaced."""

MOST_ROWS = 10_000


class Guard:
    """The checks before every handler."""

    def __init__(self, settings: Settings) -> None:
        """Raises Misconfigured for tokens that cannot be used."""
        self._tokens, self._limit = Tokens(settings), FailureLimit()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            if request.path.startswith("/api/"):
                request[HOLDER] = self._check(request)
            answer: web.StreamResponse = await handler(request)
            return answer
        except web.HTTPException as error:
            response = error_response(error.status, error.reason, "http")
            response.headers.update({name: error.headers[name] for name in KEPT_HEADERS if name in error.headers})
            return response
        except NoReply as error:
            return error_response(202, str(error), "pending", command_id=error.command_id)
        except Refusal as error:
            return error_response(STATUS.get(error.why, 409), str(error), error.why)
        except (Refused, BadMessage) as error:
            return error_response(409, str(error), error.reason)
        except (KafkaError, Unavailable) as error:
            return error_response(503, f"the broker does not answer: {error}", "unavailable")
        except Exception as error:
            log.error("a request failed", path=request.path, error=repr(error), exc_info=error)
            return error_response(500, f"{type(error).__name__}; the log says more", "internal")

    def _check(self, request: web.Request) -> Holder:
        """Who asks.  Raises HTTPException.  Without a token a web page that the operator visits must not reach the API: neither by a name
        that resolves to loopback (Host), nor by a form (content type)."""
        holder = Holder(Role.ADMIN)
        if self._tokens:
            holder = check_token(request, self._tokens, self._limit)
        elif not is_loopback(re.sub(r":\d+$", "", request.host).strip("[]")):
            raise web.HTTPForbidden(reason="without a token the API answers to a loopback address only")
        resource = request.match_info.route.resource
        if resource is not None and holder.role < (needed := least_role(request.method, resource.canonical)):
            log.warning("a role does not suffice", path=request.path, name=holder.name, role=holder.role.name.lower())
            raise web.HTTPForbidden(reason=f"this needs the role {needed.name.lower()}, the token has {holder.role.name.lower()}")
        if request.method == "POST" and request.content_type not in ("application/json", "application/x-ndjson"):
            raise web.HTTPUnsupportedMediaType(reason="the body must be application/json, or application/x-ndjson for an import")
        return holder

    def actor(self, request: web.Request) -> str:
        """Who asks: the name of the token, the name that a gateway gives, or both.  Raises Refusal when the header is no name."""
        holder, named = request[HOLDER], request.headers.get(ACTOR_HEADER)
        most = 120 - (len(holder.name) + 1 if holder.name else 0)
        if named is not None and not re.fullmatch(rf"[^\x00-\x1f\x7f/]{{1,{most}}}", named):
            raise Refusal(f"{ACTOR_HEADER} must be a name of 1 to {most} printable characters without a slash", "arguments")
        parts = [name for name in (holder.name, named) if name] or [request.remote or "unknown"]
        return ":".join(["http", *parts])


def check_token(request: web.Request, tokens: Tokens, limit: FailureLimit) -> Holder:
    """Whose bearer token a request carries.  Raises HTTPException: no known token, or too many wrong ones from that address."""
    sent, address = request.headers.get("Authorization", ""), request.remote or "unknown"
    if (wait_s := limit.wait_s(address, sent)) > 0:
        headers = {"Retry-After": str(math.ceil(wait_s))}
        raise web.HTTPTooManyRequests(reason="too many wrong tokens from this address: wait", headers=headers)
    holder = tokens.holder(sent)
    if holder is None:
        if sent:  # a page asks once without a token to learn that one is needed
            limit.failed(address)
            log.warning("a wrong token", path=request.path, address=address)
        raise web.HTTPUnauthorized(reason="a bearer token is needed", headers={"WWW-Authenticate": "Bearer"})
    limit.succeeded(address, sent)
    return holder


def check_exposure(settings: Settings) -> None:
    """Raises Misconfigured when everybody on the network could read and erase the gallery."""
    if not Tokens(settings) and not is_loopback(settings.api_host):
        raise Misconfigured(f"api_host {settings.api_host} is not loopback: set GAITSTREAM_API_TOKEN or GAITSTREAM_API_TOKENS first")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def text_body(request: web.Request, most_bytes: int) -> str:
    """The body as text.  Raises HTTPException when it is too large or not UTF-8."""
    if (request.content_length or 0) > most_bytes:
        raise web.HTTPRequestEntityTooLarge(most_bytes, request.content_length or 0)
    data = bytearray()
    async for part in request.content.iter_chunked(65536):
        data += part
        if len(data) > most_bytes:
            raise web.HTTPRequestEntityTooLarge(most_bytes, len(data))
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise web.HTTPBadRequest(reason="the body is not UTF-8") from None


async def json_body(request: web.Request, most_bytes: int) -> dict[str, Any]:
    """The body as a JSON object.  Raises HTTPException."""
    try:
        fields = json.loads(await text_body(request, most_bytes))
    except (json.JSONDecodeError, RecursionError):
        raise web.HTTPBadRequest(reason="the body is not JSON") from None
    if not isinstance(fields, dict):
        raise web.HTTPBadRequest(reason="the body must be a JSON object")
    return fields


def limit_of(request: web.Request, default: int) -> int:
    """`?limit=`, 1..10,000.  Raises HTTPException."""
    text = request.query.get("limit", str(default))
    if not text.isdecimal() or not 1 <= int(text) <= MOST_ROWS:
        raise web.HTTPBadRequest(reason=f"limit must be 1..{MOST_ROWS}")
    return int(text)


def error_response(status: int, text: str, reason: str, **more: Any) -> web.Response:
    """An error as every client gets it."""
    return web.json_response({"error": text, "reason": reason, **more}, status=status)
