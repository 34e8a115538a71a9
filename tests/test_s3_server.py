"""The S3 server of the tests is one to pyarrow, by environment variables alone."""

import json
import os
import subprocess
import sys

import pytest

from s3_server import s3_server

READ = """
import json, sys
from pyarrow.fs import FileSystem
files, path = FileSystem.from_uri(sys.argv[1])
with files.open_input_file(path) as file:
    print(json.dumps([file.size(), file.read_at(4, 100).decode()]))
"""


@pytest.mark.release
def test_a_range_of_an_object(tmp_path):
    (tmp_path / "model" / "sub").mkdir(parents=True)
    (tmp_path / "model" / "sub" / "a.bin").write_bytes(b"0123456789" * 100)
    with s3_server(tmp_path) as server:
        server.put(tmp_path / "model", "bucket/model")
        words = [sys.executable, "-c", READ, "s3://bucket/model/sub/a.bin"]
        done = subprocess.run(
            words, env={**os.environ, **server.environment}, capture_output=True, timeout=120
        )
        assert json.loads(done.stdout) == [1000, "0123"], done.stderr
        assert "GET /bucket/model/sub/a.bin" in server.requests
