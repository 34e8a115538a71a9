"""What the monitor costs of a training step, paired in one run: CPU seconds with and without it.

    python tests/benchmarks/monitor.py [LAYERS] [WIDTH]

6 layers of two sites and width 384 on 8 x 256 tokens, if nothing is said; the branches are those of
a transformer's attention and mlp in size.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
from birkhoff_cli import monitor  # noqa: E402
from test_recording_survives import Site  # noqa: E402

PAIRS = 5


class Block(nn.Module):
    """A site and its branch."""

    def __init__(self, width, inner):
        super().__init__()
        self.attn_hc = Site(4, width)
        self.branch = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width)
        )

    def forward(self, x):
        post, comb, read = self.attn_hc(x)
        return comb.mT @ x + post.unsqueeze(-1) * self.branch(read).unsqueeze(-2)


class Model(nn.Module):
    """As many blocks as there are sites."""

    def __init__(self, layers, width):
        super().__init__()
        self.layers = nn.ModuleList(Block(width, 4 * width) for _ in range(2 * layers))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def seconds(model, optimizer, x, path, every):
    """CPU seconds of a step, with a monitor if there is a path."""
    from contextlib import nullcontext

    with monitor(model, every=every, to=path) if path else nullcontext():
        begun = os.times()
        for _ in range(2):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        ended = os.times()
    return (ended.user + ended.system - begun.user - begun.system) / 2


def main():
    """Print the medians of the paired ratios."""
    layers, width = (int(word) for word in [*sys.argv[1:], "6", "384"][:2])
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Model(layers, width)
    optimizer = torch.optim.SGD(model.parameters(), 1e-5)
    x = torch.randn(8, 256, 4, width)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hc.ndjson"
        seconds(model, optimizer, x, path, 1)
        ratios = {1: [], 10**6: []}
        for _ in range(PAIRS):
            for every, found in ratios.items():
                plain = seconds(model, optimizer, x, None, 1)
                found.append(seconds(model, optimizer, x, path, every) / plain - 1)
        size = max(map(len, path.read_bytes().splitlines()))
    measured, idle = (statistics.median(found) for found in ratios.values())
    print(
        f"{2 * layers} sites, width {width}: step {plain:.2f} s, measured {100 * measured:.2f} %, "
        f"not measured {100 * idle:.2f} %, {size:,} bytes a line"
    )


if __name__ == "__main__":
    main()
