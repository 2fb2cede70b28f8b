"""A phase diagram in the browser that fills in while a sweep runs. On loopback, for the person at this machine."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from sweeps.results.own_files import ADDED_SIBLINGS, SPEC
from sweeps.results.schema import table_schemas
from sweeps.results.store import Store
from sweeps.spec.errors import UsageError
from sweeps.views.diagram_page import page
from sweeps.views.interactive_diagram import plotly_script
from sweeps.views.sweep_status import sweep_status

HOST = "127.0.0.1"
NAMES = (HOST, "localhost", "::1")
"""Names by which a browser may call this: a page of another site cannot read it by giving its own name this address."""

REFRESH_SECONDS = 2.0

SAID_SECONDS = 20.0
"""How far the sweep is is read so often where nothing was heard of it."""

SCRIPT = """
let version = null;
async function refresh() {
  try {
    const answer = await (await fetch("diagram.json")).json();
    document.getElementById("status").textContent = answer.status.join("\\n");
    if (answer.figure && answer.version !== version) {
      version = answer.version;
      await show(answer.figure);
      document.body.dataset.version = version;
    }
  } catch (error) {
    document.getElementById("status").textContent = "The server has ended: " + error;
  }
  setTimeout(refresh, %d);
}
refresh();
"""


class LiveDiagram:
    """What the page shows: a figure that is drawn anew when results came, and how far the sweep is.

    Args:
        store: Of the results.
        figure: Draws what is stored, as plotly's JSON.
    """

    def __init__(self, store: Store, figure: Callable[[], str]) -> None:
        self._store, self._figure = store, figure
        self._lock = Lock()
        self._seen: Any = None
        self._noted: Any = None
        self._said_at = -SAID_SECONDS
        self._read_at = -REFRESH_SECONDS
        self._version = 0
        self._drawn = "null"
        self._answer = b""

    def answer(self) -> bytes:
        """JSON for the page: the figure, its version and what to say; read from the store every two seconds at most."""
        with self._lock:
            if time.monotonic() - self._read_at >= REFRESH_SECONDS:
                self._answer = self._read()
                self._read_at = time.monotonic()
            return self._answer

    def _read(self) -> bytes:
        try:
            folder = self._store.folder
            seen = [folder.read(SPEC), *map(folder.files, (*table_schemas(), ADDED_SIBLINGS))]
            noted = self._store.progress()
            if seen == self._seen and noted == self._noted and time.monotonic() - self._said_at < SAID_SECONDS:
                return self._answer
            if seen != self._seen and seen[0] is not None:  # a sweep that starts is told below
                self._drawn = self._figure()
                self._seen, self._version = seen, self._version + 1
            said = sweep_status(self._store).lines()
            self._noted, self._said_at = noted, time.monotonic()
        except (UsageError, OSError) as error:  # it may be well again the next time
            said = [str(error)]
        return f'{{"version": {self._version}, "status": {json.dumps(said)}, "figure": {self._drawn}}}'.encode()


def _page() -> str:
    status = '<pre id="status">Reading the results ...</pre>'
    script = SCRIPT % (REFRESH_SECONDS * 1000)
    return page("Phase diagram", '<script src="plotly.js"></script>', script, status)


def serve(diagram: LiveDiagram, port: int) -> None:
    """Show a diagram to this machine's browsers until Ctrl-C.

    Raises:
        UsageError: If the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            contents: dict[str, tuple[str, Callable[[], bytes]]] = {
                "/": ("text/html; charset=utf-8", lambda: _page().encode()),
                "/plotly.js": ("text/javascript; charset=utf-8", lambda: plotly_script().encode()),
                "/diagram.json": ("application/json", diagram.answer),
            }
            path = self.path.partition("?")[0]
            if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in NAMES:
                self.send_error(HTTPStatus.FORBIDDEN)
            elif path not in contents:
                self.send_error(HTTPStatus.NOT_FOUND)
            else:
                kind, content = contents[path]
                body = content()
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                with suppress(ConnectionError):  # the page was closed or loaded anew
                    self.end_headers()
                    self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise UsageError(f"--port {port} cannot be used ({error}); give another one.") from None
    with server:
        print(f"Live phase diagram: http://{HOST}:{server.server_port} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
