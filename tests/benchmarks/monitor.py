"""What the monitor costs of a training step, paired in one run: CPU seconds with and without it.

    python tests/benchmarks/monitor.py [LAYERS] [WIDTH] [PAIRS]

6 layers of two sites and width 384 on 8 x 256 tokens, 20 pairs, if nothing is said; the branches
are those of a transformer's attention and mlp in size.
"""

import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
from birkhoff_cli import monitor  # noqa: E402
from test_recording_survives import Site  # noqa: E402

T95 = {5: 2.57, 7: 2.36, 9: 2.26, 11: 2.20, 15: 2.13, 19: 2.09, 29: 2.05}
"""Student's t by degrees of freedom."""


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


def seconds(model, optimizer, x):
    """CPU seconds of a step."""
    begun = time.process_time()
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()
    return time.process_time() - begun


def watched(model, optimizer, x, path, every):
    """CPU seconds of a step beside a monitor, which is measured if every step is."""
    with monitor(model, every=every, to=path):
        return seconds(model, optimizer, x)


def interval(ratios):
    """Mean and half the width of its interval of 95 %, in percent."""
    half = T95.get(len(ratios) - 1, 1.96) * statistics.stdev(ratios) / math.sqrt(len(ratios))
    return f"{100 * statistics.mean(ratios):+.2f} +- {100 * half:.2f} %"


def main():
    """Print paired differences, in the order plain, watched and watched, plain in turn."""
    layers, width, pairs = (
        int(w) for w in [*sys.argv[1:], *("6", "384", "20")[len(sys.argv) - 1 :]]
    )
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Model(layers, width)
    optimizer = torch.optim.SGD(model.parameters(), 1e-5)
    x = torch.randn(8, 256, 4, width)
    ratios, plain = {1: [], 10**6: []}, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hc.ndjson"
        watched(model, optimizer, x, path, 1)
        for pair in range(pairs):
            for every, found in ratios.items():
                if pair % 2:
                    with_it = watched(model, optimizer, x, path, every)
                plain.append(seconds(model, optimizer, x))
                if not pair % 2:
                    with_it = watched(model, optimizer, x, path, every)
                found.append(with_it / plain[-1] - 1)
        size = max(map(len, path.read_bytes().splitlines()))
    hundred = [idle + (one - idle) / 100 for one, idle in zip(*ratios.values(), strict=True)]
    print(
        f"{2 * layers} sites, width {width}, {pairs} pairs: a step takes "
        f"{statistics.median(plain):.2f} CPU seconds; measured {interval(ratios[1])}, not measured "
        f"{interval(ratios[10**6])}, at every=100 {interval(hundred)}; {size:,} bytes a line"
    )


if __name__ == "__main__":
    main()
