"""A small training whose mixing collapses to the identity, with a monitor that rings an alarm.

    python examples/collapse.py examples/collapse.ndjson

Four series, each a sum of two waves of its own, lie in the four streams of lucidrains' mHC; of 16
values of each the next 16 are learned. H begins as a mixture (0.475 on the diagonal). What it mixes
into a stream is of another series and predicts nothing, so that training takes it to the identity.
"""

import random
import sys
from pathlib import Path

import torch
from hyper_connections import mHCv2
from torch import nn

from birkhoff_cli import monitor

SERIES, WINDOW, LAYERS, BATCH, STEPS = 4, 16, 4, 64, 400


class Network(nn.Module):
    """Branches that read a mixture of the streams, and one read-out for all of them."""

    def __init__(self) -> None:
        super().__init__()
        connect, *_ = mHCv2.get_init_and_expand_reduce_stream_functions(SERIES, dim=WINDOW)
        branch = lambda: nn.Sequential(nn.LayerNorm(WINDOW), nn.Linear(WINDOW, WINDOW), nn.GELU())  # noqa: E731
        self.layers = nn.ModuleList(connect(branch=branch()) for _ in range(LAYERS))
        self.read = nn.Linear(WINDOW, WINDOW)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """The next values of ``(batch, series, window)``."""
        for layer in self.layers:
            series = layer(series)
        return self.read(series)


def waves(generator: torch.Generator) -> torch.Tensor:
    """Values ``(batch, series, 2 window)`` of random phase, of two periods for each series."""
    periods = torch.linspace(5, 40, 2 * SERIES).reshape(SERIES, 2, 1)
    phase = torch.rand(BATCH, SERIES, 2, 1, generator=generator)
    return (2 * torch.pi * (torch.arange(2 * WINDOW) / periods + phase)).sin().sum(2)


def main(path: Path) -> None:
    """Train, and write the log."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)  # by which the package chooses the stream that a branch begins to read
    path.unlink(missing_ok=True)
    network, generator = Network(), torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2, weight_decay=0)
    with monitor(network, every=10, to=path, on="identity-degenerate", after=3):
        for _ in range(STEPS):
            series = waves(generator)
            made = network(series[..., :WINDOW])
            loss = nn.functional.mse_loss(made, series[..., WINDOW:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"loss {loss.item():.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
