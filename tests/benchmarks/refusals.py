"""CPU seconds until files made to take time are refused; each is to be below 5.

python tests/benchmarks/refusals.py
"""

import sys
import tempfile
import time
from pathlib import Path

HOME = Path(__file__).parents[2]
sys.path[:0] = [str(HOME), str(HOME / "tests")]

import files  # noqa: E402
import fuzz  # noqa: E402
from birkhoff_cli.analyses.core.errors import BirkhoffError  # noqa: E402
from test_untrusted import SLOW, ZIPS, lists_header  # noqa: E402


def main() -> None:
    """One line for every file."""
    with tempfile.TemporaryDirectory() as folder:
        made = {
            **{
                k: files.torch_file(Path(folder) / f"s{i}", body=b)
                for i, (k, b) in enumerate(SLOW.items())
            },
            **{k: make(Path(folder) / f"z{i}") for i, (k, make) in enumerate(ZIPS.items())},
            "a header of lists": lists_header(Path(folder) / "header"),
        }
        for name, path in made.items():
            start = time.process_time()
            try:
                fuzz.read_checkpoint(path)
                outcome = "read"
            except BirkhoffError as error:
                outcome = f"exit {error.exit_code}"
            print(f"{time.process_time() - start:6.2f} s  {outcome:8} {name}")


if __name__ == "__main__":
    main()
