"""A local page that shows a live capture: its amplitude over time, what is predicted, and a timeline."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from aiohttp import web

from foundation.errors import ReadError, WfmError
from foundation.predict.board import Board
from foundation.predict.listen import Listener

FILES = Path(__file__).parent / "live"
#: Nothing from elsewhere is loaded, and no other page may show this one or read from it.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PAGES = {"/": "page.html", "/page.js": "page.js", "/page.css": "page.css"}


class Server:
    """Serves one listener; its page is at `address` once `start` has returned.

    Args:
        board: what the listener's `watch` was given.
        about: what the page is to say of the model, see `Model.about`.
    """

    def __init__(self, listener: Listener, board: Board, about: dict[str, Any]) -> None:
        self._listener, self._board, self._about = listener, board, about
        self.address = ""
        self.ended = threading.Event()

    def run(self, host: str, port: int, ready: Any = None) -> None:
        """Serve until the process is interrupted.

        Args:
            port: 0: any that is free.
            ready: is called with the server once it serves.

        Raises:
            ReadError: the port is taken, or the host is none of this machine.
        """
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        asyncio.run(self._serve(host, port, ready))

    async def _serve(self, host: str, port: int, ready: Any) -> None:
        app = web.Application(middlewares=[_guard(host)])
        app.add_routes([web.get(path, _file(name)) for path, name in _PAGES.items()])
        app.add_routes([web.get("/about", self._tell_about), web.get("/state", self._tell_state)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            try:
                await site.start()
            except OSError as error:
                raise ReadError(
                    f"http://{host}:{port}: cannot be served ({error.strerror}); name another --port or --host."
                ) from error
            self.address = f"http://{host}:{runner.addresses[0][1]}/"
            if ready is not None:
                ready(self)
            while True:
                await asyncio.sleep(3600)
        finally:
            await runner.cleanup()

    def _listen(self) -> None:
        try:
            for event in self._listener.events():
                self._board.tell(event)
            self._board.stop("the source has ended.")
        except WfmError as error:
            self._board.stop(str(error))
        except Exception as error:  # the page is where someone looks
            self._board.stop(f"{type(error).__name__}: {error}")
            raise
        finally:
            self.ended.set()

    async def _tell_about(self, request: web.Request) -> web.Response:
        return web.json_response(self._about)

    async def _tell_state(self, request: web.Request) -> web.Response:
        try:
            row, answer = (int(request.query.get(name, "0")) for name in ("row", "answer"))
        except ValueError:
            raise web.HTTPBadRequest(text="row and answer are numbers.") from None
        return web.json_response(self._board.state(row, answer) | {"now": self._listener.counted().__dict__})


def _file(name: str) -> Any:
    async def send(request: web.Request) -> web.FileResponse:
        return web.FileResponse(FILES / name)

    return send


def _guard(host: str) -> Any:
    """Sets `HEADERS`; on the loopback, refuses names that a foreign page may have pointed at it (DNS rebinding)."""
    local = {"localhost", "127.0.0.1", "[::1]"}

    @web.middleware
    async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
        if host in {"127.0.0.1", "localhost", "::1"} and request.host.rpartition(":")[0] not in local:
            raise web.HTTPForbidden(text="this page is served to this machine alone.")
        response: web.StreamResponse = await handler(request)
        response.headers.update(HEADERS)
        return response

    return guard
