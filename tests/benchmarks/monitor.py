"""What the monitor costs of a training step, in CPU time of one thread.

    python tests/benchmarks/monitor.py [LAYERS] [WIDTH] [STEPS] [PAIRS]

6 layers of two sites and width 384 on 8 x 256 tokens if nothing is said; the branches are those of
a transformer's attention and mlp in size. The share at every=100 is 99 steps that are not measured
and one that is. Intervals are those of 95 %, by drawing steps or pairs again.

Inside: a loop of STEPS (10) steps with a monitor of every second one. A clock runs in whatever
torch calls of ours, at modules and behind the optimizer, and so in every step's measuring and
writing. What torch itself takes longer for a module that has hooks is measured on one that does
nothing else, and added.

Paired: PAIRS (0) times a step without, two with and one without a monitor, for steps that are not
measured and for those that are. It sees what a clock inside cannot, such as memory that is moved,
and has the noise of whole steps: so they are of 1 x 256 tokens, of which as many are looked at, and
what is added to them is told as a share of a step of 8 x 256.
"""

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
from birkhoff_cli import monitor  # noqa: E402
from birkhoff_cli.recording.libraries._module import Hook, do_nothing  # noqa: E402
from birkhoff_cli.recording.steps import Steps  # noqa: E402
from test_recording_survives import Site  # noqa: E402

BATCH, TOKENS, D = 8, 256, 4
DRAWS = 2000


class Block(nn.Module):
    """A site and its branch."""

    def __init__(self, width):
        super().__init__()
        self.attn_hc = Site(D, width)
        self.attn_hc.input_norm = nn.RMSNorm(D * width, eps=1e-6)  # what it reads is then measured
        self.branch = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        post, comb, read = self.attn_hc(x)
        return comb.mT @ x + post.unsqueeze(-1) * self.branch(read).unsqueeze(-2)


class Loop:
    """A model, its optimizer and its batch."""

    def __init__(self, layers, width):
        self.model = nn.Sequential(*(Block(width) for _ in range(2 * layers)))
        self.optimizer = torch.optim.SGD(self.model.parameters(), 1e-5)
        self.x = torch.randn(BATCH, TOKENS, D, width)

    def shorten(self):
        """Go on with the first sequence alone."""
        self.x = self.x[:1].clone()

    def step(self):
        """CPU seconds of one."""
        begun = time.thread_time()
        self.optimizer.zero_grad()
        self.model(self.x).square().mean().backward()
        self.optimizer.step()
        return time.thread_time() - begun


class Clock:
    """CPU seconds in everything of ours that torch calls."""

    def __init__(self):
        self.seconds = 0.0
        self.original = Hook.__call__, Steps._guarded
        Hook.__call__, Steps._guarded = map(self.around, self.original)

    def end(self):
        """Run no more."""
        Hook.__call__, Steps._guarded = self.original

    def around(self, function):
        def call(*args, **kwargs):
            begun = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - begun

        return call

    def taken(self):
        """Seconds since it was last asked."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


def detour(calls=20_000, rounds=9):
    """Seconds that torch takes longer for a module with a hook before and one behind it."""
    plain, hooked = nn.Identity(), nn.Identity()
    hooked.register_forward_pre_hook(do_nothing)
    hooked.register_forward_hook(do_nothing)
    x, found = torch.zeros(1), []
    for _ in range(rounds):
        times = []
        for module in (plain, hooked):
            begun = time.thread_time()
            for _ in range(calls):
                module(x)
            times.append(time.thread_time() - begun)
        found.append((times[1] - times[0]) / calls)
    return statistics.median(found)


def interval(samples, estimate):
    """An estimate, and the interval of those of samples that are drawn again."""
    rng = random.Random(0)
    drawn = sorted(estimate(*([rng.choice(s) for _ in s] for s in samples)) for _ in range(DRAWS))
    low, high = drawn[int(0.025 * DRAWS)], drawn[int(0.975 * DRAWS) - 1]
    return f"{100 * estimate(*samples):.3g} % ({100 * low:.3g} to {100 * high:.3g})"


def shares(idle, measured, whole, mean):
    """Print what is added to a step, as shares of one."""
    print("  not measured:", interval((idle, whole), lambda i, w: mean(i) / mean(w)))
    print("  measured:", interval((measured, whole), lambda m, w: mean(m) / mean(w)))
    print(
        "  at every=100:",
        interval(
            (idle, measured, whole), lambda i, m, w: (99 * mean(i) + mean(m)) / (100 * mean(w))
        ),
        flush=True,
    )


def inside(loop, steps, path):
    """Print the shares of a loop's time that are spent in the monitor; the seconds of all steps."""
    extra = detour() * (len(loop.model) + 1)
    clock, idle, measured, whole = Clock(), [], [], []
    with monitor(loop.model, every=2, to=path) as mine:
        for number in range(-2, steps):
            clock.taken()
            seconds = loop.step()
            ours = clock.taken() + extra
            if number >= 0:
                (idle if mine.steps.taken % 2 else measured).append(ours)
                whole.append(seconds - ours)
    clock.end()
    rest, one = statistics.median(idle), statistics.median(measured)
    print(
        f"inside, of {statistics.median(whole):.3g} CPU seconds a step: {1e6 * rest:.0f} us if it "
        f"is not measured ({1e6 * extra:.0f} of them torch's detours), {1e3 * one:.3g} ms if it is"
    )
    shares(idle, measured, whole, statistics.fmean)
    return whole


def paired(loop, pairs, path, whole):
    """Print what steps take longer with a monitor, in turn, as shares of whole steps."""
    loop.shorten()
    loop.step()
    added, plain = {10**6: [], 1: []}, []
    for _ in range(pairs):
        for every, seconds in added.items():
            before = loop.step()
            with monitor(loop.model, every=every, to=path):
                loop.step()  # the first meets the optimizer
                watched = loop.step() + loop.step()
            both = before + loop.step()
            seconds.append((watched - both) / 2)
            plain.append(both / 2)
    print(f"{pairs} pairs of steps of {statistics.median(plain):.3g} CPU seconds:")
    shares(added[10**6], added[1], whole, statistics.median)


def main():
    """Print both."""
    given = [int(word) for word in sys.argv[1:]]
    layers, width, steps, pairs = [*given, *(6, 384, 10, 0)[len(given) :]]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    loop = Loop(layers, width)
    print(f"{2 * layers} sites of width {width}, {BATCH} x {TOKENS} tokens", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hc.ndjson"
        whole = inside(loop, steps, path)
        print(f"{max(map(len, path.read_bytes().splitlines())):,} bytes a line", flush=True)
        if pairs:
            paired(loop, pairs, path, whole)


if __name__ == "__main__":
    main()
