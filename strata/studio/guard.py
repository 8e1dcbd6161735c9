"""Who may ask the server for what: its own page alone, from this machine or with the password; and how much."""

import asyncio
import secrets
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 48 * 2**20
"""Bytes of an upload."""
LARGEST_JSON = 8 * 2**20
"""Bytes of anything else."""
CSP = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'; frame-src 'self'"
)
SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';"
    " img-src data: blob:; frame-ancestors 'self'"
)
"""Of pages that hold their own script, such as a probe's: it can reach nothing."""
UPLOADS = ("/api/open", "/api/masks", "/api/underlay")
WRONG = 1.0
"""Seconds that a wrong password takes."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SHOWN = ("login.html", "login.js", "studio.css", "panels.css", "icon.svg")
_OPEN = ("/login", *(f"/static/{name}" for name in _SHOWN))
"""What is shown without the password."""


class Guard:
    """Stands before the application.

    A page of another site can make a browser ask for anything on this machine: by a name that it lets point here (the
    host is not ours then) or by a form (its origin is not ours). Both are refused.

    Args:
        app: the application.
        host: that the server listens on.
        password: None where only this machine can reach it.
        cookie: the name of the cookie that holds who knew the password.
    """

    def __init__(self, app: ASGIApp, host: str, password: str | None, cookie: str) -> None:
        self.app, self._host, self._password, self._cookie = app, host, password, cookie
        self._token = secrets.token_urlsafe(32)
        self._trying = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers in the application's place, or lets it answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        sender = self._with_headers(send, path)
        if (reason := self._refusal(headers, method, path)) is not None:
            await JSONResponse({"error": {"message": reason}}, 403)(scope, receive, sender)
            return
        most = LARGEST_BODY if path in UPLOADS else LARGEST_JSON
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > most:
            await _too_large(most)(scope, receive, sender)
            return
        if self._password is not None and path == "/login":
            await (await self._login(Request(scope, receive)))(scope, receive, sender)
            return
        if self._password is not None and path not in _OPEN and not self._known(headers):
            await _locked(path)(scope, receive, sender)
            return
        try:
            await self.app(scope, _bounded(receive, most), sender)
        except _TooMuch:
            await _too_large(most)(scope, receive, sender)

    def _refusal(self, headers: Headers, method: str, path: str) -> str | None:
        """Why a request is none of the page's; None where it is."""
        host = urlsplit(f"//{headers.get('host', '')}").hostname
        if self._password is None and host not in (*_LOOPBACK, self._host):
            return "this server is asked for by a name that is not its own"
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return "another page asks for this"
        asks = method not in ("GET", "HEAD") or path.startswith("/api/")
        if asks and site not in (None, "same-origin", "none"):
            return "another page asks for this"
        return None

    def _known(self, headers: Headers) -> bool:
        morsel = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        return morsel is not None and secrets.compare_digest(morsel.value.encode(), self._token.encode())

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return RedirectResponse("/static/login.html", 303)
        given = (await _body(request, 1000)).decode(errors="replace")
        async with self._trying:  # one guess at a time, and a second for each wrong one
            if not secrets.compare_digest(given.encode(), (self._password or "").encode()):
                await asyncio.sleep(WRONG)
                return JSONResponse({"error": {"message": "that is not the password"}}, 401)
        response = JSONResponse({"ok": True})
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
        return response

    def _with_headers(self, send: Send, path: str) -> Send:
        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", CSP)
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-resource-policy"] = "same-origin"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers.setdefault("cache-control", "no-cache" if path.startswith("/static") else "no-store")
            await send(message)

        return sender


class _TooMuch(Exception):
    pass


def _bounded(receive: Receive, most: int) -> Receive:
    read = 0

    async def bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            raise _TooMuch
        return message

    return bounded


async def _body(request: Request, most: int) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            return b""
    return body


def _too_large(most: int) -> Response:
    return JSONResponse({"error": {"message": f"larger than {most // 2**20} MiB, the most that is taken"}}, 413)


def _locked(path: str) -> Response:
    if path == "/":
        return RedirectResponse("/static/login.html", 303)
    return JSONResponse({"error": {"message": "the password is missing", "login": True}}, 401)
