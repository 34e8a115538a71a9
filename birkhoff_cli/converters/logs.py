"""Training logs, each the log of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from birkhoff_cli.analyses.core.training_log import TrainingLog
from birkhoff_cli.converters._converter import Converter
from birkhoff_cli.options import Option
from birkhoff_cli.request import Request

READS = ("TrainingLog",)


class Logs(Converter):
    """The logs at all paths."""

    def options(self) -> Mapping[str, Option]:
        """The paths."""
        own = self.parameter
        return {
            own.name: Option(
                own.name,
                list[Path],
                f"{own.note}.",
                group="Analysis",
                positional=True,
                required=own.required,
                environment=False,
            )
        }

    def read(self, request: Request, d: int | None) -> tuple[TrainingLog, ...]:
        """All of them, in the order in which they were named."""
        from birkhoff_cli.logs import read_all

        del d
        return read_all(request[self.parameter.name] or [])


CONVERTERS: Mapping[Any, type[Converter]] = {tuple[TrainingLog, ...]: Logs}
