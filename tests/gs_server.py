"""A server of Google's object store on the loopback: gcp-storage-emulator, installed apart.

``python3 -m venv gcs && gcs/bin/pip install gcp-storage-emulator``, and then
``GCS_EMULATOR=gcs/bin/gcp-storage-emulator pytest -m release``.
"""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow.fs import FileSystem, LocalFileSystem, copy_files

from s3_server import wait_for

GCS_EMULATOR = "GCS_EMULATOR"
"""Environment variable: the command ``gcp-storage-emulator``, if it is not on the path."""


@contextlib.contextmanager
def gs_server(folder: Path, log: Path) -> Iterator[str]:
    """Serve a folder as ``bucket/org/model``; the test is skipped where no emulator is installed.

    Yields:
        The query of a URL with which pyarrow reads there, as ``anonymous``.
    """
    command = os.environ.get(GCS_EMULATOR) or shutil.which("gcp-storage-emulator")
    if command is None:
        pytest.skip(f"no gcp-storage-emulator on the path and no {GCS_EMULATOR}: see gs_server.py")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [command, *words, "--default-bucket=bucket"], stdout=output, stderr=output
        )
    try:
        wait_for(port)
        query = f"?scheme=http&endpoint_override=127.0.0.1:{port}&retry_limit_seconds=20"
        remote, _ = FileSystem.from_uri(f"gs://anonymous@bucket/{query}")
        copy_files(str(folder), "bucket/org/model", LocalFileSystem(), remote)
        yield query
    finally:
        server.terminate()
        server.wait()
