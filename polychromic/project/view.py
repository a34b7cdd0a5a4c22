"""A folder's runs and evaluations as pages on the loopback address: whoever asks can only read."""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from polychromic.core.errors import InputError, MissingResourceError, PolychromicError
from polychromic.reporting.view import Page, Site

HOST = "127.0.0.1"
NAMES = {HOST, "localhost"}
"""What a request may call this machine: another name is a page elsewhere that has its own name point here."""
MOST_FOLDERS = 12
"""In one comparison."""


class Server(ThreadingHTTPServer):
    """Answers ``GET`` from the files below ``root``, one request at a time reading them."""

    daemon_threads = True

    def __init__(self, root: str | Path, port: int = 0) -> None:
        """Listens on ``port`` of the loopback address; 0 takes any that is free.

        Raises:
            MissingResourceError: there is no such folder.
            InputError: the port is taken.
        """
        if not Path(root).is_dir():
            raise MissingResourceError(f"{root}: there is no such folder")
        self.site, self.reading = Site(Path(root)), threading.Lock()
        try:
            super().__init__((HOST, port), _Request)
        except OSError as error:
            raise InputError(f"--port {port}: {(error.strerror or str(error)).lower()}; give another") from None

    @property
    def url(self) -> str:
        """The address of the list."""
        return f"http://{HOST}:{self.server_address[1]}/"


class _Request(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "polychromic", ""
    timeout = 30  # a browser opens connections that it never uses

    def do_GET(self) -> None:
        status, page = self._answer()
        self.send_response(status)
        for name, value in {
            "Content-Type": page.kind,
            "Content-Length": str(len(page.body)),
            "Content-Security-Policy": page.policy,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page.body)

    def _answer(self) -> tuple[HTTPStatus, Page]:
        site = self.server.site
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in NAMES:
            return HTTPStatus.FORBIDDEN, Page(b"only for this machine\n", "text/plain")
        asked = urlsplit(self.path)
        chosen = parse_qs(asked.query).get("at", [])[:MOST_FOLDERS]
        try:
            with self.server.reading:
                return HTTPStatus.OK, site.page(asked.path, chosen)
        except MissingResourceError as error:
            return HTTPStatus.NOT_FOUND, site.trouble(str(error))
        except (PolychromicError, OSError) as error:
            return HTTPStatus.BAD_REQUEST, site.trouble(str(error))

    def log_message(self, *_: object) -> None:
        """Nothing: the terminal is the user's."""
