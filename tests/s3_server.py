"""An S3 server on the loopback: moto's, which has to be installed apart.

moto needs other versions of packages than ``constraints.txt`` names, so it lives in an environment
of its own: ``python3 -m venv moto && moto/bin/pip install 'moto[server]'``, and then
``MOTO_SERVER=moto/bin/moto_server pytest -m release``.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, S3FileSystem, copy_files

MOTO_SERVER = "MOTO_SERVER"
"""Environment variable: the command ``moto_server``, if it is not on the path."""
REGION = "us-east-1"
MAX_SECONDS = 60
"""Of the start of the server, before it counts as failed."""


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        endpoint: its URL.
        log: the file of its requests.
    """

    endpoint: str
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which any client of S3 reads here."""
        return {
            **{"AWS_ACCESS_KEY_ID": "fake-key-id", "AWS_SECRET_ACCESS_KEY": "fake-secret"},
            **{"AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"},
            "AWS_ENDPOINT_URL_S3": self.endpoint,
        }

    @property
    def requests(self) -> list[str]:
        """Method and path of every request."""
        return re.findall(r'"(?:\x1b\[\d+m)*([A-Z]+ [^ "]+) HTTP', self.log.read_text())

    def put(self, folder: Path, to: str) -> None:
        """Copy the files of a folder to ``bucket/prefix``."""
        remote = S3FileSystem(
            access_key="fake-key-id",
            secret_key="fake-secret",
            region=REGION,
            endpoint_override=self.endpoint,
            allow_bucket_creation=True,
        )
        remote.create_dir(to.split("/")[0])
        copy_files(str(folder), to, LocalFileSystem(), remote)


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run moto's server; the test is skipped where it is not installed."""
    command = os.environ.get(MOTO_SERVER) or shutil.which("moto_server")
    if command is None:
        pytest.skip(f"no moto_server on the path and no {MOTO_SERVER}: see tests/s3_server.py")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / "moto.log"
    with log.open("wb") as output:
        words = [command, "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(words, stdout=output, stderr=output)
    try:
        wait_for(port)
        yield S3Server(f"http://127.0.0.1:{port}", log)
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    """Wait until somebody listens on a port of the loopback."""
    end = time.monotonic() + MAX_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
