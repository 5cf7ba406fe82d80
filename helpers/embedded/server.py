"""The embedded server: Hub, inference API and chat, in one process.

``python -m helpers.embedded.server`` runs it in the foreground, on 127.0.0.1 or, with ``--class``,
for a classroom's network; :mod:`helpers.embedded.lifecycle` starts it in the background for
notebooks. torch is imported only after the socket is open.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import functools
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from helpers.embedded import auth, chat, faults, inference, network, store, viewer
from helpers.embedded.catalog import catalog
from helpers.embedded.hub import routes as hub
from helpers.embedded.learners import Learners, Limits
from helpers.embedded.lifecycle import COURSE, DEFAULT_PORT, EXIT_PORT_TAKEN, HOST, record_path
from helpers.embedded.options import add_server_arguments
from helpers.embedded.source import version
from helpers.embedded.wire import STREAMED, WireError, wire_error
from helpers.embedded.workers import Builder, warm_imports
from helpers.environment import cache_folder, share_processors
from helpers.errors import CourseError
from helpers.messages import text

GRACE_SECONDS = 3
KEEP_ALIVE_SECONDS = 75
"""A notebook's session keeps its connection while a person reads the last answer."""

REQUEST_LIMIT = 40 * 1024 * 1024
"""Bytes of one request's body beyond which nothing more of it is read, whatever its address."""
UPLOADS_LIMIT = 256 * 1024 * 1024
"""Bytes of all the bodies in memory at once; beyond them the server says that it is overloaded."""
CLASS_LIMITS = Limits(learner=1000 * 10**6)
"""Forty learners leave their models on their teacher's disk."""
LOG_BYTES = 5 * 1024 * 1024

logger = logging.getLogger("helpers.embedded")


@dataclass(frozen=True)
class Settings:
    """How one server runs.

    Attributes:
        port: Where it listens.
        token: The one token it accepts; ``None`` to accept this user's client tokens.
        idle_seconds: Exit after this long without a request; ``None`` to stay.
        host: The address it listens at.
        for_class: Whether it serves a class: clients are told apart by their addresses, and
            cannot stop it.
        fast: Whether batches of questions may be answered in bfloat16.
        chat_url: An OpenAI-compatible server that answers the chat calls; ``None`` for none.
        chat_model: What that server calls the model to use; ``None`` for all that it lists.
        chat_token: The token that it knows this server by; ``None`` for none.
    """

    port: int = DEFAULT_PORT
    token: str | None = field(default=None, repr=False)
    idle_seconds: float | None = None
    host: str = HOST
    for_class: bool = False
    fast: bool = False
    chat_url: str | None = None
    chat_model: str | None = None
    chat_token: str | None = field(default=None, repr=False)

    @property
    def names(self) -> frozenset[str]:
        """What clients may call this machine in ``Host``, in lower case."""
        return network.own_names(self.host) if self.for_class else network.LOCAL_NAMES


class CourseServer(Starlette):
    """The application, with what must happen around every request: host check, log, idle clock."""

    settings: Settings
    started: float
    last_request: float
    active: int = 0
    upload_bytes: int = 0
    names: frozenset[str]
    stop: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI event."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        self.active += 1
        start = time.perf_counter()
        status = 0

        async def recording_send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        body = _Body(self, receive)
        scope[faults.CLOSE_CONNECTION] = lambda: _close_connection(send)
        scope[STREAMED] = lambda limit: _expect(body, limit, send)
        try:
            if _is_named(scope, self.names):
                await super().__call__(scope, body.receive, recording_send)
            else:
                refusal = JSONResponse({"error": "Host not allowed."}, 403)
                await refusal(scope, receive, recording_send)
        finally:
            body.release()
            self.active -= 1
            self.last_request = time.monotonic()
            milliseconds = (time.perf_counter() - start) * 1000
            path = scope["path"].encode("unicode_escape").decode()
            logger.info("%s %s %s %.0f ms", scope["method"], path, status or "-", milliseconds)


class _Body:
    """A request's body on its way in: counted against what one, and all, may fill."""

    def __init__(self, app: CourseServer, receive: Receive) -> None:
        self._app = app
        self._receive = receive
        self._bytes = 0
        self._limit = REQUEST_LIMIT
        self._is_kept = True

    async def receive(self) -> Message:
        message = await self._receive()
        received = len(message.get("body", b""))
        self._bytes += received
        if self._bytes > self._limit:
            raise WireError(413, f"Request body is too large: at most {self._limit} bytes.")
        if self._is_kept:
            self._app.upload_bytes += received
            if self._app.upload_bytes > UPLOADS_LIMIT:
                raise WireError(503, inference.OVERLOADED)
        return message

    def expect(self, limit: int) -> None:
        """Take so many bytes, which whoever reads them does not keep in memory."""
        self.release()
        self._limit = max(limit, REQUEST_LIMIT)
        self._is_kept = False

    def release(self) -> None:
        if self._is_kept:
            self._app.upload_bytes -= self._bytes


def _is_named(scope: Scope, names: frozenset[str]) -> bool:
    """Whether ``Host`` names this machine: a page from elsewhere must not get in through DNS."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return False
    name, colon, port = hosts[0].rpartition(":")
    if not colon or hosts[0].endswith("]"):
        name, port = hosts[0], ""
    return name.lower() in names and (not port or port.isdigit())


def _close_connection(send: Send) -> None:
    """Cut the connection under a response (uvicorn's ``send`` is a method of the connection)."""
    send.__self__.transport.abort()  # type: ignore[attr-defined]


def _expect(body: _Body, limit: int, send: Send) -> None:
    """Let a body be long, and take the time that it then needs."""
    from helpers.embedded.connections import BODY_SECONDS, UPLOAD_BYTES_PER_SECOND, GuardedProtocol

    body.expect(limit)
    connection = send.__self__.transport.get_protocol()  # type: ignore[attr-defined]
    if isinstance(connection, GuardedProtocol):
        connection.grant(BODY_SECONDS + limit / UPLOAD_BYTES_PER_SECOND)


def create_app(settings: Settings) -> CourseServer:
    """Return the ASGI application."""
    app = CourseServer(
        routes=_routes(),
        lifespan=_lifespan,
        exception_handlers={
            WireError: wire_error,
            HTTPException: _http_error,
            ClientDisconnect: _nobody_reads,
            Exception: _server_error,
        },
    )
    app.router.redirect_slashes = False
    app.settings = settings
    app.names = settings.names
    app.started = time.time()
    app.last_request = time.monotonic()
    app.stop = lambda: None
    app.state.snapshots = {}
    app.state.learners = _learners(settings)
    app.state.faults = faults.FaultPlan()
    app.state.builder = Builder(store.is_built, functools.partial(store.ensure, progress=_silent))
    app.state.residents = inference.Residents(functools.partial(store.ensure, progress=_silent))
    return app


def _learners(settings: Settings) -> Learners:
    """Return where learners' repositories are; in a class each has less room."""
    limits = CLASS_LIMITS if settings.for_class else Limits()
    reserved = {repo_id.split("/")[0] for repo_id in catalog().repositories}
    return Learners(cache_folder() / "hub", limits, frozenset({*reserved, *hub.FIRST_PARTS}))


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Builds asked for by a request report to nobody."""


def _routes() -> list[Route]:
    model = "/hf-inference/models/{model_id:hub_id}"
    post = ["POST"]
    return [
        Route("/", front_page),
        Route("/course/health", health),
        Route("/course/faults", _private(faults.plan_fault), methods=post),
        Route("/course/faults", _private(faults.clear_faults), methods=["DELETE"]),
        Route("/course/shutdown", _private(shutdown), methods=post),
        Route("/v1/models", _private(chat.list_models)),
        Route("/v1/chat/completions", _called(chat.complete), methods=post),
        Route(f"{model}/v1/chat/completions", _called(chat.complete), methods=post),
        Route(f"{model}/pipeline/{{task}}", _called(inference.infer), methods=post),
        Route(model, _called(inference.infer), methods=post),
        *(_public(route) for route in [*hub.routes(), *viewer.routes()]),
    ]


# --- who may do what --------------------------------------------------------------------------

Endpoint = Callable[[Request], Awaitable[Response]]


def _private(endpoint: Endpoint) -> Endpoint:
    """Require a token."""

    async def checked(request: Request) -> Response:
        request.state.client_id = _client_id(request)
        return await endpoint(request)

    return checked


def _called(endpoint: Endpoint) -> Endpoint:
    """Require a token, and let the client's planned faults come first."""

    async def faulty(request: Request) -> Response:
        plan = request.app.state.faults
        return await faults.around(plan, request.state.client_id, request, endpoint)

    return _private(faulty)


def _public(route: Route) -> Route:
    """Require no token, but refuse a wrong one, as the Hub does."""
    endpoint: Endpoint = route.endpoint

    async def checked(request: Request) -> Response:
        has_token = "authorization" in request.headers
        request.state.client_id = _client_id(request) if has_token else None
        return await endpoint(request)

    return Route(route.path, checked, methods=sorted(route.methods or ()))


def _client_id(request: Request) -> str:
    header = request.headers.get("authorization")
    settings: Settings = request.app.settings
    try:
        client_id = auth.verify(header, settings.token)
    except auth.AuthenticationError as error:
        raise WireError(401, str(error), error.headers()) from None
    if settings.for_class and request.client is not None:
        return f"turma-{request.client.host}"  # one token for all: the address tells them apart
    return client_id


# --- the course's own endpoints ---------------------------------------------------------------


async def front_page(request: Request) -> Response:
    """Say what this is, to someone who opens the address in a browser."""
    lines = [f"- {repo_id}" for repo_id in catalog().repositories]
    page = text("server.front_page", models="\n".join(lines))
    return PlainTextResponse(page)


async def health(request: Request) -> Response:
    """Say who answers on this port."""
    app: CourseServer = request.app
    return JSONResponse(
        {
            "course": COURSE,
            "version": version(),
            "pid": os.getpid(),
            "started": app.started,
            "loaded": app.state.residents.loaded(),
        }
    )


async def shutdown(request: Request) -> Response:
    """Stop the server once this answer is sent; a class's server is its teacher's to stop."""
    if request.app.settings.for_class:
        raise WireError(403, "Only the terminal that started this server can stop it.")
    request.app.stop()
    return JSONResponse({"stopping": True})


async def _http_error(_request: Request, error: Exception) -> Response:
    """Answer an unknown address as the router does, in plain text, and the rest in JSON."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return PlainTextResponse("Not Found", 404)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _nobody_reads(_request: Request, _error: Exception) -> Response:
    """End a request whose client has left."""
    return Response(status_code=204)


async def _server_error(_request: Request, _error: Exception) -> Response:
    """Answer after a mistake of our own; the traceback goes to the log."""
    return JSONResponse({"error": "Internal Server Error"}, 500)


# --- life of the process ----------------------------------------------------------------------


@asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    watcher = asyncio.create_task(_stop_when_idle(app))
    threading.Thread(target=_warm_imports, name="warm-imports", daemon=True).start()
    try:
        yield
    finally:
        watcher.cancel()
        app.state.builder.close()
        app.state.residents.close()


def _warm_imports() -> None:
    """Import what the models need, while the server already answers."""
    with suppress(ImportError):  # told when a model is asked for
        warm_imports()


async def _stop_when_idle(app: CourseServer) -> None:
    limit = app.settings.idle_seconds
    if limit is None:
        return
    while app.active or time.monotonic() - app.last_request < limit:
        await asyncio.sleep(min(5.0, limit / 4))
    logger.info("idle for %.0f s, stopping", limit)
    app.stop()


def listen(port: int, host: str = HOST) -> socket.socket:
    """Open the server's socket.

    Raises:
        OSError: The port is taken, or may not be used, or the address is not this machine's.
    """
    # asyncio sends small answers at once (TCP_NODELAY) only where the protocol is given.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # take a port back at once after a crash
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # there, the same option would share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        listener.bind((host, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener


def write_record(port: int, pid: int | None) -> None:
    """Write down which process serves which port; ``pid=None`` keeps only the port."""
    record = {"port": port, "pid": pid, "version": version()}
    path = record_path()
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(record), encoding="utf-8")
    os.replace(draft, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server with the arguments of a command line: :func:`run`."""
    parser = argparse.ArgumentParser("python -m helpers serve", description=text("server.about"))
    add_server_arguments(parser)
    parser.add_argument("--idle", type=float, help=text("server.help_idle"))
    parser.add_argument("--quiet", action="store_true", help=text("server.help_quiet"))
    return run(parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Run the server in the foreground until Ctrl-C.

    Args:
        arguments: What :func:`helpers.embedded.options.add_server_arguments` describes.

    Returns:
        The exit status: 0, or ``EXIT_PORT_TAKEN``.

    Raises:
        CourseError: The arguments cannot be followed; the sentence says what to do.
    """
    settings = _settings(arguments)
    try:
        listener = listen(settings.port, settings.host)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise CourseError(text("server.not_our_address", host=settings.host)) from None
        print(text("server.port_taken", port=settings.port), file=sys.stderr)
        return EXIT_PORT_TAKEN
    if not arguments.quiet:
        print(_banner(settings), flush=True)
    _serve(settings, listener)
    return 0


def _settings(arguments: argparse.Namespace) -> Settings:
    """Turn the command line into settings, and refuse what makes no sense."""
    for_class: bool = arguments.for_class
    host = _class_host(arguments.host) if for_class else HOST
    if arguments.host is not None and not for_class:
        raise CourseError(text("server.host_needs_class"))
    return Settings(
        port=arguments.port,
        token=arguments.token or (auth.class_token() if for_class else None),
        idle_seconds=arguments.idle,
        host=host,
        for_class=for_class,
        fast=arguments.fast,
        chat_url=_chat_url(arguments.chat_url),
        chat_model=arguments.chat_model,
        chat_token=_chat_token(arguments.chat_token_env),
    )


def _class_host(chosen: str | None) -> str:
    """Return the address to serve a class at.

    Raises:
        CourseError: There is no network, or what was chosen is no IPv4 address.
    """
    if chosen is None:
        found = network.lan_address()
        if found is None:
            raise CourseError(text("server.no_network"))
        return found
    try:
        return str(ipaddress.IPv4Address(chosen))
    except ValueError:
        raise CourseError(text("server.bad_host", host=chosen)) from None


def _chat_url(value: str | None) -> str | None:
    from helpers.embedded.chat.proxy import base_url

    try:
        return None if value is None else base_url(value)
    except ValueError:
        raise CourseError(text("server.bad_chat_url")) from None


def _chat_token(variable: str | None) -> str | None:
    if variable is None:
        return None
    token = os.environ.get(variable, "").strip()
    if not token:
        raise CourseError(text("server.no_chat_token", variable=variable))
    return token


def _banner(settings: Settings) -> str:
    if settings.for_class:
        host = settings.host
        shown = (network.lan_address() or HOST) if host == network.ANY_ADDRESS else host
        url = f"http://{shown}:{settings.port}"
        banner = text("server.banner_class", url=url, token=settings.token, log=_class_log())
    else:
        url = f"http://{HOST}:{settings.port}"
        name = "server.banner" if settings.token is None else "server.banner_token"
        banner = text(name, url=url)
    if settings.chat_url is not None:
        banner += "\n" + text("server.banner_chat", host=urlsplit(settings.chat_url).netloc)
    return banner


def _serve(settings: Settings, listener: socket.socket) -> None:
    import uvicorn

    from helpers.embedded.connections import GuardedProtocol

    os.environ["HF_HUB_OFFLINE"] = "1"  # this process reads folders, and never another hub
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    share_processors()
    _log(settings)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        http=GuardedProtocol,
        ws="none",
    )
    server = uvicorn.Server(config)
    app.stop = lambda: setattr(server, "should_exit", True)
    # uvicorn stops in peace and then raises the signal again, to end the process by it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    is_shared = settings.token is None
    if is_shared:
        write_record(settings.port, os.getpid())
    try:
        with suppress(KeyboardInterrupt, SystemExit):  # what Ctrl-C and SIGTERM end in
            server.run(sockets=[listener])
    finally:
        if is_shared and _recorded_pid() == os.getpid():
            write_record(settings.port, None)
    os._exit(0)  # a generation still running in a thread is not waited for


def _recorded_pid() -> int | None:
    try:
        return json.loads(record_path().read_text(encoding="utf-8")).get("pid")
    except (OSError, ValueError, AttributeError):
        return None


def _log(settings: Settings) -> None:
    """Log to the terminal; for a class to a file, so that address and token stay in sight."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if settings.for_class:
        handler = RotatingFileHandler(_class_log(), "a", LOG_BYTES, 1, encoding="utf-8")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[handler]
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    for noisy in ("httpx", "httpx2", "filelock", "transformers"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _class_log() -> Path:
    return cache_folder() / "class.log"


if __name__ == "__main__":
    try:
        status = main()
    except CourseError as error:
        raise SystemExit(str(error)) from None
    raise SystemExit(status)
