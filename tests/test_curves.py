"""Training curves: every number from the log itself, by plain numpy; other programs' logs."""

import csv
import json
import re
import struct
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure

from birkhoff_cli import logs
from birkhoff_cli.analyses import curves
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge, Unsupported, UsageError
from birkhoff_cli.analyses.statistics import rolling
from birkhoff_cli.logs.columns import ENDS
from birkhoff_cli.logs.names import SYNONYMS
from conftest import ROOT


def rows_of(n=140, seed=0, **names):
    rng = np.random.default_rng(seed)
    norms = rng.gamma(4.0, size=n)
    norms[40::50] *= 30
    rows = []
    for k in range(n):
        row = {"step": k + 1, "loss": 5 - k / n + rng.normal() / 9, "gradient_norm": norms[k]}
        rows.append({names.get(key, key): value for key, value in row.items()})
    return rows


def ndjson(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_jitter_spikes_and_losses_are_those_of_a_plain_loop(tmp_path):
    rows = rows_of()
    norms = np.array([row["gradient_norm"] for row in rows])
    result = curves.run(logs.read_all([ndjson(tmp_path / "a.ndjson", rows)]), window=10, spike=4.0)
    table = result.table.to_pydict()
    for k in range(len(rows)):
        last = norms[k - 9 : k + 1]
        expected = last.std() / (last.mean() + 1e-8) if k >= 9 else None
        assert table["jitter"][k] == (None if k < 9 else pytest.approx(expected, rel=1e-12))
        before = norms[max(0, k - 100) : k]
        assert table["spike"][k] == (k >= 10 and norms[k] > 4 * np.median(before))
    (row,) = result.summary["runs"]
    losses = np.array([r["loss"] for r in rows])
    assert row["final_loss"] == pytest.approx(losses[-10:].mean(), rel=1e-14)
    assert (row["best_loss"], row["best_step"]) == (losses.min(), losses.argmin() + 1)
    assert row["jitter"] == np.median([j for j in table["jitter"] if j is not None])
    assert (row["spikes"], row["steps"], row["rows"]) == (sum(table["spike"]), 140, 140)
    assert table["spike"][40] and table["spike"][90]


def test_windows_of_a_long_run_are_those_of_a_short_one(monkeypatch, rng):
    values = rng.random(500)
    whole = rolling.median_before(values, 30, 5)
    monkeypatch.setattr(rolling, "BLOCK", 7)
    np.testing.assert_array_equal(rolling.median_before(values, 30, 5), whole)
    assert np.isnan(whole[:5]).all() and whole[5] == np.median(values[:5])


def test_one_run_in_every_format_is_one_table(tmp_path):
    rows = rows_of(30)
    paths = [ndjson(tmp_path / f"{k}.x", rows) for k in range(4)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    pq.write_table(pa.table(columns), paths[1])
    with pa.ipc.new_file(paths[2], pa.table(columns).schema) as writer:
        writer.write_table(pa.table(columns))
    with paths[3].open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    tables = [curves.run(logs.read_all([p]), name=["a"]).table for p in paths]
    assert all(table.to_pylist() == tables[0].to_pylist() for table in tables)


def test_the_names_of_forks_are_read_and_said(birkhoff, tmp_path):
    ndjson(
        tmp_path / "out" / "log.jsonl",
        [
            {"iter": 0, "val/loss": 4.0, "lr": 0.1},
            {"iter": 0, "train/loss": 4.1, "grad_norm": 1.0, "mfu": 3},
            {"iter": 10, "train/loss": 3.0, "grad_norm": 2.0, "mfu": 3},
            {"iter": 20, "train/loss": 2.0, "grad_norm": 2.0, "mfu": 3},
            {"iter": 10, "train/loss": 2.5, "grad_norm": 2.0, "mfu": 3},
        ],
    )
    done = birkhoff("curves", "out/log.jsonl", "-o", "t.parquet", "--json")
    assert done.returncode == 0, done.stderr
    said = (
        f"birkhoff: assumed: out: {ENDS}\n"
        "birkhoff: assumed: out: step is 'iter', loss is 'train/loss', held_out_loss is "
        "'val/loss', gradient_norm is 'grad_norm', learning_rate is 'lr'; not read: mfu\n"
        "birkhoff: assumed: out: 1 step logged twice with other numbers, the first of them 10: "
        "the last numbers are taken\n"
    )
    assert done.stderr == said
    table = pq.read_table(tmp_path / "t.parquet").to_pydict()
    assert table["step"] == [0, 10, 20] and table["loss"] == [4.1, 2.5, 2.0]
    assert table["held_out_loss"] == [4.0, None, None]
    assert table["gradient_norm"] == [1.0, 2.0, 2.0] and table["name"] == ["out"] * 3


@pytest.mark.parametrize("text", ["step,loss\n1,3.5\n2,nan\n3,3.0\n", '{"step":1,"loss":3.5}\n'])
def test_a_loss_that_is_not_finite_is_said_with_its_step(text, birkhoff, tmp_path):
    if text.startswith("{"):
        text += '{"step":2,"loss":null,"finite":false}\n{"step":3,"loss":3.0}\n'
    (tmp_path / "a.txt").write_text(text)
    done = birkhoff("curves", "a.txt", "-o", "t.ndjson", "--plot", "a.png", "--json")
    found = json.loads(done.stdout)
    assert (found["runs"][0]["not_finite"], found["runs"][0]["first_not_finite"]) == (1, 2)
    assert "a has numbers that are not finite from step 2" in found["answer"]
    assert found["runs"][0]["final_loss"] is None  # the mean of a NaN is none
    rows = [json.loads(line) for line in (tmp_path / "t.ndjson").read_text().splitlines()]
    assert [(row["loss"], row["finite"]) for row in rows] == [
        *((3.5, True), (None, False), (3.0, True))
    ]
    again = json.loads(birkhoff("curves", "t.ndjson", "--name", "a", "--json").stdout)
    assert again["runs"] == found["runs"]


FIRST_RECORD = bytes.fromhex(
    "1800000000000000a37f4b2209f712f212fbc2da411a0d627261696e2e4576656e743a32703d7c61"
)
"""As tensorboardX 2.6.5 wrote it."""


def crc32c(data):
    """Bit by bit, from the polynomial; masked as TFRecord does."""
    crc = 0xFFFFFFFF
    for byte in data:
        for k in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if (crc ^ byte >> k) & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def framed(data):
    """A record of TFRecord."""
    length = struct.pack("<Q", len(data))
    return length + crc32c(length) + data + crc32c(data)


def message(number, data):
    """A field of bytes, shorter than 128, of a protocol buffer."""
    return bytes([number << 3 | 2, len(data)]) + data


def event(step, tag, *number):
    """An event with a scalar: ``simple_value``, or a field of a tensor."""
    value = message(1, tag.encode()) + b"".join(number)
    steps = b"\x10" + bytes([step & 127 | 128, step >> 7])
    return framed(b"\x09" + bytes(8) + steps + message(5, message(1, value)))


def test_an_event_file_of_another_program_is_read(birkhoff, tmp_path):
    """tensorboardX wrote it, with a histogram and a text between the scalars."""
    done = birkhoff("curves", ROOT / "tests/data/events", "-o", "t.parquet", "--json")
    assert done.returncode == 0, done.stderr
    assert "events: loss is 'train/loss', held_out_loss is 'val/loss'" in done.stderr
    table = pq.read_table(tmp_path / "t.parquet").to_pydict()
    steps = np.arange(0, 60, 5)
    assert table["step"] == steps.tolist() and {*table["name"]} == {"events"}
    np.testing.assert_allclose(table["loss"], 3 * np.exp(-steps / 50) + 1, rtol=1e-7)
    np.testing.assert_allclose(table["gradient_norm"], 1 + 0.5 * np.sin(steps), rtol=1e-7)
    known = [v for v in table["held_out_loss"] if v is not None]
    np.testing.assert_allclose(known, 3 * np.exp(-steps[::4] / 50) + 1.1, rtol=1e-7)


def test_scalars_of_every_kind_are_read_and_all_else_is_passed_over(tmp_path):
    float_, double = struct.pack("<f", 2.5), struct.pack("<d", 0.1)
    values = [
        (1, b"\x15" + float_),
        (2, message(8, b"\x08\x01" + message(4, float_))),
        (3, message(8, b"\x08\x01" + message(5, float_))),
        (4, message(8, b"\x08\x01\x2d" + float_)),
        (300, message(8, b"\x08\x02" + message(6, double))),
        (301, message(8, b"\x08\x01" + message(4, 2 * float_))),
        (302, message(8, b"\x08\x07" + message(8, b"text"))),
        (303, message(5, b"")),
    ]
    data = b"".join(event(step, "loss", number) for step, number in values)
    (tmp_path / "e").write_bytes(FIRST_RECORD + data)
    log = logs.read(tmp_path / "e")
    assert log.step.tolist() == [1, 2, 3, 4, 300]
    assert log.values["loss"].tolist() == [2.5, 2.5, 2.5, 2.5, 0.1]


def test_a_directory_with_one_event_file_is_a_run(tmp_path):
    data = FIRST_RECORD + event(1, "loss", b"\x15" + struct.pack("<f", 2))
    for k in "12":
        (tmp_path / f"events.out.tfevents.{k}.host").write_bytes(data)
    with pytest.raises(BadInput, match="2 event files, such as events.out.tfevents.1.host; give"):
        logs.read(tmp_path)
    (tmp_path / "events.out.tfevents.2.host").unlink()
    assert logs.read(tmp_path).name == tmp_path.name


REFUSED = {
    "a cut event file": (FIRST_RECORD + FIRST_RECORD[:20], 3, "ends inside a record"),
    "a damaged length": (FIRST_RECORD + b"\1" + FIRST_RECORD[1:], 3, "a length fails its checksum"),
    "a damaged record": (FIRST_RECORD[:20] + b"x" + FIRST_RECORD[21:], 3, "fails its checksum"),
    "no scalars": (FIRST_RECORD, 3, "has no loss and no gradient norm (its columns: step)"),
    "no protocol buffer": (FIRST_RECORD + framed(b"\x2a\x7f"), 3, "cannot be understood"),
    "other columns": (b"step,time\n1,2\n", 3, "no loss and no gradient norm (its columns: step,"),
    "words": (b"step,loss\n1,low\n", 3, "row 1 of loss is no number (low)"),
    "half a step": (b"step,loss\n1.5,1\n", 3, "no whole number as its step (1.5)"),
    "no step": (b'{"step":1,"loss":1}\n{"loss":2}\n', 3, "row 2 has no whole number"),
    "a cut line": (b'{"step":1,"loss":1}\n{"st', 3, "line 2 is no JSON object"),
    "a short row": (b"step,loss\n1,2\n3\n", 3, "line 3 has 1 fields and the header 2"),
    "twice": (b"step,loss,loss\n1,2,3\n", 3, "has loss twice"),
    "several runs": (b"step,loss\n1,2\n2,2\n1,3\n2,3\n", 3, "the log of one run"),
    "no rows": (b"step,loss\n", 3, "has no rows"),
    "empty": (b"", 3, "is no log"),
    "latin": (b"step,loss\n1,\xff\n", 3, "no UTF-8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_log_is_refused_in_one_line(name, tmp_path):
    data, code, said = REFUSED[name]
    (tmp_path / "log.csv").write_bytes(data)
    with pytest.raises((BadInput, Unsupported)) as refused:
        logs.read(tmp_path / "log.csv")
    assert refused.value.exit_code == code and "\n" not in str(refused.value)
    assert said in str(refused.value)


def test_runs_need_names_of_their_own_or_a_log(tmp_path):
    found = logs.read_all([ndjson(tmp_path / d / "log.ndjson", rows_of(12)) for d in "ab"])
    assert [log.name for log in found] == ["a", "b"]
    same = logs.read_all([tmp_path / "a" / "log.ndjson"] * 2)
    assert len({log.name for log in same}) == 2  # only who says so gets a mean of seeds
    for options in ({"name": ["x"]}, {"window": 1}, {"spike": 0.5}):
        with pytest.raises(UsageError):
            curves.run(found, **options)
    with pytest.raises(BadInput, match="has no gradient norms of layers"):
        curves.run(found, table="layers")
    with pytest.raises(BadInput, match=r"holds no log\.parquet"):
        logs.read(tmp_path / "a")


def test_seeds_of_one_name_are_a_mean_and_a_band(tmp_path):
    every = [rows_of(40, seed) for seed in range(3)]
    every[2] = every[2][5:]  # only the steps that all have
    found = logs.read_all([ndjson(tmp_path / f"{k}.jsonl", r) for k, r in enumerate(every)])
    figure = Figure()
    curves.draw(curves.run(found, name=["go-mhc"] * 3).table, figure)
    assert [axes.get_ylabel()[:5] for axes in figure.axes] == ["loss ", "gradi", "jitte"]
    losses = np.array([[row["loss"] for row in rows][-35:] for rows in every])
    (line,) = (n for n in figure.axes[0].lines if n.get_label() == "go-mhc, 3 runs")
    np.testing.assert_allclose(line.get_ydata(), losses.mean(0), rtol=1e-12)
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (losses.min(), losses.max())


def test_a_log_is_drawn_by_plot_as_by_curves(birkhoff, tmp_path):
    ndjson(tmp_path / "run" / "log.jsonl", rows_of(20, gradient_norm="grad_norm"))
    assert birkhoff("curves", "run/log.jsonl", "--plot", "a.png", "-q").returncode == 0
    done = birkhoff("plot", "run/log.jsonl", "--plot", "b.png")
    assert done.returncode == 0 and "gradient_norm is 'grad_norm'" in done.stderr
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    words = ("fit", "--method", "mhc", "--d", "2", "--targets", "1", "--epochs", "3")
    assert birkhoff(*words, "-o", "t.parquet", "--plot", "c.png").returncode == 0
    assert birkhoff("plot", "t.parquet", "--plot", "d.png").returncode == 0  # losses, no log
    assert (tmp_path / "c.png").read_bytes() == (tmp_path / "d.png").read_bytes()


def test_gradient_norms_of_layers_are_drawn_run_by_run(tmp_path):
    rows = [{"step": k, "loss": 1.0, "layer_gradient_norms": [k + 1.0, 2.0, 3.0]} for k in range(5)]
    flat = [
        {"step": r["step"], "loss": 1.0}
        | {f"layer_gradient_norms_{k}": v for k, v in enumerate(r["layer_gradient_norms"])}
        for r in rows
    ]
    found = logs.read_all([ndjson(tmp_path / n, r) for n, r in (("a.x", rows), ("b.x", flat))])
    table = curves.run(found, table="layers").table
    assert table["gradient_norm"].to_pylist() == [
        v for _ in "ab" for k in range(5) for v in (k + 1.0, 2.0, 3.0)
    ]
    rows[3]["layer_gradient_norms"][1] = float("nan")
    odd = logs.read_all([ndjson(tmp_path / "c.x", rows), ndjson(tmp_path / "d.x", rows_of(3))])
    result = curves.run(odd, table="layers")
    assert result.table["gradient_norm"].to_pylist()[9:12] == [4.0, None, 3.0]
    assert [r["first_not_finite"] for r in result.summary["runs"]] == [3, None]
    said = "d: has no gradient norms of layers, and no rows"
    assert result.meta["assumptions"] == [f"c: {ENDS}", f"d: {ENDS}", said]
    figure = Figure()
    curves.draw(table, figure)
    assert [len(axes.lines) for axes in figure.axes[:2]] == [3, 3]
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_ydata(), [1, 2, 3, 4, 5])


def test_the_names_in_the_documents_are_those_that_are_read():
    page = (ROOT / "docs/recording.md").read_text(encoding="utf-8")
    table = page[page.index("| quantity | names |") :]
    rows = [line.split("|")[2] for line in table.splitlines()[2:8]]
    listed = [tuple(re.findall("`([^`]+)`", row)) for row in rows]
    assert listed == [*SYNONYMS.values()]


ODD = {
    "a key twice": ("l.ndjson", '{"step": 1, "loss": 3, "loss": 2}\n', "line 1 has loss twice"),
    "a truth": ("l.ndjson", '{"step": 1, "loss": true}\n', "row 1 of loss is no number .True"),
    "an underscore": ("l.csv", "step,loss\n1,1_000\n", "row 1 of loss is no number .1_000"),
    "another script": ("l.csv", "step,loss\n٢,1.0\n", "row 1 of step is no number"),
    "two cases": ("l.csv", "step,Loss,loss\n1,9,0.5\n", "a column 'Loss' and one 'loss'"),
    "a later key": (
        "l.ndjson",
        '{"step": 1, "loss": 1.0}\n{"step": 2, "Loss": 9}\n',
        "has a column 'loss' and one 'Loss'",
    ),
}


@pytest.mark.parametrize("what", ODD)
def test_what_only_python_takes_for_a_number_and_what_is_there_twice_is_refused(what, tmp_path):
    """One of two was taken, and 1_000 was a thousand."""
    name, text, said = ODD[what]
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=said):
        logs.read(tmp_path / name)


def test_a_last_line_without_an_end_is_said(tmp_path):
    """Of 0.45 that was cut 0.4 was read."""
    path = tmp_path / "l.csv"
    path.write_text("step,loss\n1,0.5\n2,0.4")
    said = "the last line is complete, though it has no end"
    assert logs.read(path).meta["assumptions"] == [said]
    path.write_text("step,loss\r\n1,0.5\r\n2,0.4\r\n")
    assert logs.read(path).meta["assumptions"] == [ENDS]


@pytest.mark.parametrize("name", ["l.csv", "l.ndjson"])
def test_a_bad_line_far_into_a_log_takes_little_memory(name, tmp_path):
    """150 MB of a log took 1.8 GB before they were refused."""
    path, count = tmp_path / name, 4000
    more = "x" * 200
    with path.open("w") as file:
        if name == "l.csv":
            file.write("step,loss,text\n" + "".join(f"{k},0.5,{more}\n" for k in range(count)))
        else:
            for k in range(count):
                file.write(json.dumps({"step": k, "loss": 0.5, "text": more}) + "\n")
        file.write("1,2\n")
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="line 4,00[12] (has 2 fields|is no JSON object)"):
            logs.read(path)
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size
    finally:
        tracemalloc.stop()


def test_norms_of_many_layers_in_one_of_many_steps_are_too_many(tmp_path):
    """A megabyte of such rows asked for 24 GB, and the sentence named no file."""
    rows = [{"step": k, "loss": 1.0} for k in range(2050)]
    rows[0]["layer_gradient_norms"] = [1] * 2050
    with pytest.raises(TooLarge, match=r"log.ndjson: has gradient norms of 2,050 layers in one of"):
        logs.read(ndjson(tmp_path / "log.ndjson", rows))
    assert logs.read(ndjson(tmp_path / "log.ndjson", rows[:2040])).layers.shape == (2040, 2050)


def test_columns_of_many_layers_in_many_rows_are_too_many(tmp_path):
    """Each row had a layer of its own, and all others as nothing: 800 MB of half a megabyte."""
    rows = [{"step": k, "loss": 1.0, f"layer_gradient_norms_{k}": 1.0} for k in range(2050)]
    with pytest.raises(TooLarge, match=r"log.ndjson: has gradient norms of 2,050 layers"):
        logs.read(ndjson(tmp_path / "log.ndjson", rows))


@pytest.mark.parametrize("name", ["log.csv", "log.ndjson", "run.tfevents.1"])
def test_a_log_that_ends_at_a_row_may_have_been_cut(name, tmp_path):
    """One that had lost half of its rows gave the last loss of the others."""
    events = next((ROOT / "tests" / "data" / "events").glob("*.tfevents.*")).read_bytes()
    rows = rows_of(5)
    text = "step,loss\n" + "".join(f"{r['step']},{r['loss']}\n" for r in rows)
    lines = "".join(json.dumps(r) + "\n" for r in rows)
    content = {"log.csv": text.encode(), "log.ndjson": lines.encode(), "run.tfevents.1": events}
    (tmp_path / name).write_bytes(content[name])
    assert ENDS in logs.read(tmp_path / name).meta["assumptions"]
