"""Serve the built book on this machine, with its own page for unknown addresses."""

import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HTML = Path(__file__).parents[1] / "_build" / "html"


class BookHandler(SimpleHTTPRequestHandler):
    """Files of one folder under one address; for all other addresses, the book's 404 page."""

    protocol_version = "HTTP/1.1"  # one connection for many files

    def __init__(self, *args: object, prefix: str, **options: object) -> None:
        self.prefix = prefix
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def translate_path(self, path: str) -> str:
        """Find the file for an address, which must begin with the prefix."""
        if not path.startswith(self.prefix):
            return str(Path(self.directory) / "no such file")
        return super().translate_path("/" + path.removeprefix(self.prefix))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer an unknown address with the book's own page."""
        if code != HTTPStatus.NOT_FOUND:
            super().send_error(code, message, explain)
            return
        page = (Path(self.directory) / "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    def end_headers(self) -> None:
        """Let browsers keep files, and ask each time whether they have changed."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def book_server(
    html: Path = HTML,
    port: int = 0,
    prefix: str = "/",
    handler: type[BookHandler] = BookHandler,
) -> ThreadingHTTPServer:
    """Make a server for a folder of pages; port 0 takes any free one."""
    answer = partial(handler, directory=str(html), prefix=prefix)
    return ThreadingHTTPServer(("127.0.0.1", port), answer)


if __name__ == "__main__":
    if not (HTML / "index.html").exists():
        sys.exit("There is no built book yet: run `make book` first.")
    with book_server(port=int(sys.argv[1])) as server:
        print(f"The book is at http://localhost:{server.server_port}/ (stop with Ctrl-C)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
