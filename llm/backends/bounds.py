"""Bounds on one request to a server: the time of all of it, from the connection to the end of the body, and the length.

The library's own time-outs are for one read: a server that drips a header, or sends early hints (1xx) for ever, would
never exceed them.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import httpx2

_KEY = "strata.watch"


class Watch:
    """Breaks the connection of a request off when its time is over.

    A hook for requests. It learns the connection from httpcore's trace as it is made, so connections must not be kept
    for the next request.

    Args:
        request: not sent yet.
        seconds: for all of it.
    """

    def __init__(self, request: httpx2.Request, seconds: float) -> None:
        self.expired = False
        self.deadline = time.monotonic() + seconds
        self._socket: socket.socket | None = None
        request.extensions = {**request.extensions, _KEY: self, "trace": self._trace}
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    @classmethod
    def of(cls, request: httpx2.Request) -> Watch:
        """The watch of a request."""
        watch: Watch = request.extensions[_KEY]
        return watch

    def end(self) -> None:
        """The request is over."""
        self._timer.cancel()

    def bound_retry(self, headers: httpx2.Headers) -> None:
        """Leaves no wait before the next try that is longer than what is left of this one."""
        headers.pop("retry-after-ms", None)
        if (asked := headers.pop("retry-after", None)) is not None:
            with suppress(ValueError):  # a date: the library's own waits do
                headers["retry-after"] = f"{max(min(float(asked), self.deadline - time.monotonic()), 0.001):.3f}"

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("connect_tcp.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
        elif event.endswith(("response_closed.complete", "connect_tcp.failed")):
            self.end()
        if self.expired:
            self._expire()  # it was not connected yet when the time was over

    def _expire(self) -> None:
        self.expired = True
        if self._socket is not None:
            with suppress(OSError):  # closed already
                self._socket.shutdown(socket.SHUT_RDWR)


class BoundedBody(httpx2.SyncByteStream):
    """A body that ends after `most` bytes and a little, and must be there before the request's time is over."""

    def __init__(self, response: httpx2.Response, most: int) -> None:
        assert isinstance(response.stream, httpx2.SyncByteStream)
        self._stream, self._request, self._most = response.stream, response.request, most

    def __iter__(self) -> Iterator[bytes]:
        length = 0
        for chunk in self._stream:
            if time.monotonic() > Watch.of(self._request).deadline:
                raise httpx2.ReadTimeout("the body took too long", request=self._request)
            yield chunk
            length += len(chunk)
            if length > self._most:
                return

    def close(self) -> None:
        """Closes the connection."""
        Watch.of(self._request).end()
        self._stream.close()
