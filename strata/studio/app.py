"""The Studio over HTTP: its page, and what the page asks for as JSON."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from strata.hierarchy.errors import InputError, StrataError
from strata.studio import depth, files, scene, underlay
from strata.studio.core import Studio
from strata.studio.draw_run import PROBE, DrawRun
from strata.studio.errors import Refused, problem
from strata.studio.facts import facts_of
from strata.studio.guard import SANDBOX, Guard
from strata.studio.sessions import Session
from strata.studio.tasks import Run

STATIC = Path(__file__).with_name("static")
LED_HERE = '<!doctype html><meta http-equiv="refresh" content="0;url=/"><a href="/">Strata Studio</a>'
MOST_EVENTS = 2000
"""That wait for a page which does not read them."""
BEAT = 10.0
"""Seconds after which an open page hears that the server is still there."""


def create_app(
    studio: Studio,
    host: str = "127.0.0.1",
    password: str | None = None,
    port: int = 0,
    closing: Callable[[], bool] = lambda: False,
) -> Starlette:
    """The application.

    Args:
        studio: what it serves.
        host: that it listens on.
        password: that it asks for, or None.
        port: names its cookies, as those of one host are shared by all ports.
        closing: whether the server is about to end, so that open pages are to be let go.
    """
    api = _Api(studio, f"strata_studio_{port}", closing)
    guard = Middleware(Guard, host=host, password=password, cookie=f"strata_password_{port}")
    app = Starlette(
        routes=[
            Route("/", api.page),
            Mount("/static", StaticFiles(directory=STATIC)),
            *(Route(f"/api/{path}", getattr(api, name), methods=[method]) for method, path, name in _ROUTES),
        ],
        middleware=[guard],
        exception_handlers={StrataError: _told, HTTPException: _http},
    )
    app.state.studio = studio
    return app


_ROUTES = (
    ("GET", "session", "session"),
    ("GET", "events", "events"),
    ("POST", "look", "look"),
    ("POST", "routing", "routing"),
    ("POST", "resize", "resize"),
    ("POST", "masks", "add_mask"),
    ("GET", "masks/{name}", "mask"),
    ("POST", "mask", "as_mask"),
    ("POST", "underlay", "add_underlay"),
    ("DELETE", "underlay", "remove_underlay"),
    ("GET", "underlay/{name}", "underlay"),
    ("POST", "plan", "plan"),
    ("POST", "draw", "draw"),
    ("POST", "open", "open"),
    ("POST", "save", "save"),
    ("POST", "export", "export"),
    ("POST", "runs/{id}/restyle", "restyle"),
    ("POST", "runs/{id}/repaint", "repaint"),
    ("POST", "runs/{id}/probe", "probe"),
    ("POST", "runs/{id}/cancel", "cancel"),
    ("POST", "runs/{id}/reopen", "reopen"),
    ("GET", "runs/{id}/preview", "preview"),
    ("GET", "runs/{id}/zip", "zip"),
    ("GET", "runs/{id}/files/{name:path}", "file"),
)


class _Api:
    """The answers."""

    def __init__(self, studio: Studio, cookie: str, closing: Callable[[], bool]) -> None:
        self._studio, self._cookie, self._closing = studio, cookie, closing

    async def page(self, request: Request) -> Response:
        if request.headers.get("sec-fetch-site") == "cross-site":
            # Led here by another page, a browser keeps its cookie back, and would get a new session.
            return HTMLResponse(LED_HERE)
        response: Response = FileResponse(STATIC / "index.html", headers={"cache-control": "no-store"})
        sessions = self._studio.sessions
        if sessions.get(request.cookies.get(self._cookie)) is None:
            session = sessions.new()
            if session is None:
                raise Refused("too many people are at work here; come back later", 503)
            response.set_cookie(self._cookie, session.key, httponly=True, samesite="strict")
        return response

    def _session(self, request: Request) -> Session:
        session = self._studio.sessions.get(request.cookies.get(self._cookie))
        if session is None:
            raise Refused("this session is over; load the page again", 401)
        return session

    async def session(self, request: Request) -> Response:
        session = self._session(request)
        data = await run_in_threadpool(facts_of, self._studio)
        runs = [run.as_data() for run in session.runs.values()]
        return JSONResponse({**data, "state": session.state, "underlay": session.underlay, "runs": runs})

    async def events(self, request: Request) -> Response:
        session, loop = self._session(request), asyncio.get_running_loop()
        queue: asyncio.Queue[str] = asyncio.Queue(MOST_EVENTS)

        def put(text: str) -> None:
            with suppress(asyncio.QueueFull):
                queue.put_nowait(text)

        def listener(event: dict[str, Any]) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(put, f"data: {json.dumps(event)}\n\n")

        async def stream() -> AsyncIterator[str]:
            end, quiet = session.listen(listener), 0.0
            try:
                yield ": open\n\n"
                while not self._closing():
                    try:
                        yield await asyncio.wait_for(queue.get(), 0.5)
                        quiet = 0
                    except TimeoutError:
                        quiet += 0.5
                        if quiet >= BEAT:
                            quiet = 0
                            yield ": here\n\n"
            finally:
                end()

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def look(self, request: Request) -> Response:
        session, data = self._session(request), await _json(request)
        if data.get("state") is not None:
            session.state = data["state"]
        library, model = self._studio.library, self._studio.model
        return await self._answer(scene.look, data.get("plan"), session, library, model, data.get("overlap"))

    async def routing(self, request: Request) -> Response:
        self._session(request)
        data = await _json(request)
        model = self._studio.model
        steps, regions, area = (data.get(key) for key in ("steps", "regions", "area"))
        if type(steps) is not int or not 1 <= steps <= 1000:
            steps = model.default_steps
        shape = (*model.facts_or_flux.block_counts, steps)
        plan = (regions if type(regions) is int else 0, float(area) if isinstance(area, int | float) else 0.0)

        def answer() -> dict[str, Any]:
            return depth.shown(depth.edited(data.get("text"), data.get("op") or {}, shape, plan), shape, plan)

        return await self._answer(answer)

    async def resize(self, request: Request) -> Response:
        session, data = self._session(request), await _json(request)
        width, height = data.get("width"), data.get("height")

        def answer() -> dict[str, Any]:
            if type(width) is not int or type(height) is not int:
                raise InputError("canvas: width and height must be whole numbers")
            library = self._studio.library
            plan = scene.read_plan(data.get("plan"), session, library).resized(width, height)
            return {"plan": json.loads(library.shown(plan).to_json())}

        return await self._answer(answer)

    async def add_mask(self, request: Request) -> Response:
        session, content = self._session(request), await request.body()
        width, height = (_side(request, name) or 0 for name in ("width", "height"))

        def answer() -> dict[str, str]:
            return {"mask": scene.keep_mask(content, session, width, height)}

        return await self._answer(answer)

    async def mask(self, request: Request) -> Response:
        session, name = self._session(request), f"masks/{request.path_params['name']}"
        content = await run_in_threadpool(scene.mask_content, name, session)
        return Response(content, media_type="image/png", headers={"cache-control": "private, max-age=86400"})

    async def as_mask(self, request: Request) -> Response:
        session, data = self._session(request), await _json(request)

        def answer() -> bytes:
            plan = scene.read_plan(data.get("plan"), session, self._studio.library)
            index = data.get("region")
            if type(index) is not int or not 0 <= index < len(plan.regions):
                raise InputError("region: no such region")
            return scene.region_as_mask(plan, index)

        return Response(await run_in_threadpool(answer), media_type="image/png")

    async def add_underlay(self, request: Request) -> Response:
        session, content = self._session(request), await request.body()
        return await self._answer(lambda: {"underlay": underlay.keep_underlay(content, session)})

    async def remove_underlay(self, request: Request) -> Response:
        session = self._session(request)
        await run_in_threadpool(underlay.remove_underlay, session)
        return JSONResponse({"underlay": None})

    async def underlay(self, request: Request) -> Response:
        session, name = self._session(request), request.path_params["name"]
        content, kind = await run_in_threadpool(underlay.underlay_content, name, session)
        return Response(content, media_type=kind, headers={"cache-control": "private, max-age=86400"})

    async def plan(self, request: Request) -> Response:
        session, data = self._session(request), await _json(request)
        return await self._answer(lambda: self._studio.plan(session, data).as_data())

    async def draw(self, request: Request) -> Response:
        session, data = self._session(request), await _json(request)
        return await self._answer(lambda: {"runs": [run.as_data() for run in self._studio.draw(session, data)]})

    async def restyle(self, request: Request) -> Response:
        session, run, data = await self._of_run(request)
        picture, area, low = (str(data.get(key) or "") for key in ("picture", "area", "low"))
        return await self._answer(lambda: self._studio.restyle(session, run, picture, area, low).as_data())

    async def repaint(self, request: Request) -> Response:
        session, run, data = await self._of_run(request)
        picture = str(data.get("picture") or "")
        return await self._answer(lambda: self._studio.repaint(session, run, picture, data).as_data())

    async def probe(self, request: Request) -> Response:
        session, run, data = await self._of_run(request)
        picture, words = str(data.get("picture") or ""), data.get("words") or []
        words = [str(word) for word in words] if isinstance(words, list) else str(words).split(",")
        return await self._answer(lambda: self._studio.probe(session, run, picture, words).as_data())

    async def cancel(self, request: Request) -> Response:
        run = self._run(request)
        await run_in_threadpool(self._studio.cancel, run)
        return JSONResponse(run.as_data())

    async def reopen(self, request: Request) -> Response:
        session, run, data = await self._of_run(request)
        picture = str(data.get("picture") or "")
        return await self._answer(lambda: self._studio.reopened(session, run, picture))

    async def open(self, request: Request) -> Response:
        session, content = self._session(request), await request.body()
        query = request.query_params
        size = _side(request, "width"), _side(request, "height")
        name, form = query.get("name", "file"), query.get("form") or None
        return await self._answer(files.opened, content, name, session, self._studio.library, form, size)

    async def save(self, request: Request) -> Response:
        session, data = self._session(request), await _json(request)

        def answer() -> bytes:
            plan = scene.read_plan(data.get("plan"), session, self._studio.library)
            return files.saved(plan, None if data.get("routing") is None else depth.routing_of(data["routing"]))

        content = await run_in_threadpool(answer)
        return Response(content, media_type="application/zip", headers=_attachment("scene.zip"))

    async def export(self, request: Request) -> Response:
        session, data = self._session(request), await _json(request)

        def answer() -> dict[str, Any]:
            plan = scene.read_plan(data.get("plan"), session, self._studio.library)
            return files.exported(plan, str(data.get("form")))

        return await self._answer(answer)

    async def preview(self, request: Request) -> Response:
        run = self._drawn(request)
        if (content := run.preview) is None:
            raise Refused("there is no preview now", 404)
        kind = "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
        return Response(content, media_type=kind)

    async def zip(self, request: Request) -> Response:
        run = self._drawn(request)
        content = await run_in_threadpool(files.run_zipped, run)
        return Response(content, media_type="application/zip", headers=_attachment(f"{run.folder.name}.zip"))

    async def file(self, request: Request) -> Response:
        run, name = self._drawn(request), request.path_params["name"]
        path = await run_in_threadpool(run.file, name)
        headers = {"cache-control": "private, max-age=86400"}
        if "download" in request.query_params:
            headers |= _attachment(f"{run.folder.name}-{path.name}")
        if name == PROBE:
            headers["content-security-policy"] = SANDBOX
        kinds = {".png": "image/png", ".html": "text/html", ".json": "application/json"}
        return FileResponse(path, media_type=kinds.get(path.suffix, "text/plain"), headers=headers)

    # Parts of these

    def _run(self, request: Request) -> Run:
        run = self._session(request).runs.get(request.path_params["id"])
        if run is None:
            raise Refused("there is no such run in this session", 404)
        return run

    def _drawn(self, request: Request) -> DrawRun:
        run = self._run(request)
        if not isinstance(run, DrawRun):
            raise Refused("that run draws nothing", 404)
        return run

    async def _of_run(self, request: Request) -> tuple[Session, DrawRun, Mapping[str, Any]]:
        return self._session(request), self._drawn(request), await _json(request)

    async def _answer(self, function: Callable[..., Any], *args: Any) -> Response:
        return JSONResponse(await run_in_threadpool(function, *args))


async def _json(request: Request) -> Mapping[str, Any]:
    try:
        data = json.loads(await request.body(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"request: is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise InputError("request: must be a mapping")
    return data


def _no_constant(name: str) -> None:
    raise ValueError(f"{name}: is no number")


def _side(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return int(text) if text.isdigit() and len(text) < 6 else None


def _attachment(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, StrataError)
    status = error.status if isinstance(error, Refused) else 422
    return JSONResponse({"error": problem(error)}, status)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": {"message": error.detail}}, error.status_code)
