"""Square arrays as people save them, each the value of an argument or an option of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from birkhoff_cli.analyses.core.stack import Stack
from birkhoff_cli.converters._converter import Converter
from birkhoff_cli.options import Option
from birkhoff_cli.request import Request

READS = ("Stack",)

FILE = "npy, npz, pt or safetensors; FILE#name chooses one of several"


class NamedStack(Converter):
    """The arrays of one file."""

    def options(self) -> Mapping[str, Option]:
        """The file."""
        own = self.parameter
        return {
            own.name: Option(
                own.name,
                Path | None,
                f"{own.note}: {FILE}." if own.positional else f"{own.note}.",
                group="Analysis",
                positional=own.positional,
                required=own.required,
                environment=False,
            )
        }

    def read(self, request: Request, d: int | None) -> Any:
        """The arrays, or None where no file is named."""
        from birkhoff_cli.stacks import read

        del d
        path = request[self.parameter.name]
        return None if path is None else read(path)


CONVERTERS: Mapping[Any, type[Converter]] = {Stack: NamedStack, Stack | None: NamedStack}
