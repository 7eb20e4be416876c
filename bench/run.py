#!/usr/bin/env python3
"""Runs the benchmarks of loru, alone or each in turn with the same work in other people's software.

    run.py                      ours alone; prints figures, writes bench/results/ours.json
    run.py --peers PYTHON       ours and each peer in turn (A B A B); writes bench/results/ROW.json and the table in
                                docs/performance.md. PYTHON has the packages of bench/peers/requirements.txt
    run.py --table              writes the table anew from the results there are

Every program prints one line of JSON. A row of ROWS says which programs it compares and which of their values. A peer's
variants (versions, processes, memory formats) are each tried for a short while first; the fastest is the peer.
"""
import argparse
import dataclasses
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
TABLE = ROOT / "docs" / "performance.md"
DATA = ROOT / "build" / "bench" / "data"
DEBIAN_PYTHON = "/usr/bin/python3"
BEGIN, END = "<!-- table: begin, written by ./dev bench --peers -->", "<!-- table: end -->"

# What a careful user of the peers sets: freed memory stays with the process.
PEER_ENVIRONMENT = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_MAX_": "0"}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: ratio = value of `theirs` / value of `ours`, both of the JSON that the programs print."""
    name: str
    work: str
    against: str
    ours: str                      # command; {bin} is the folder of our programs
    value: str                     # key of our figure, smaller is faster
    at_least: float
    aim: float
    variants: tuple = ()           # commands; {peers}: bench/peers, {python}: the environment's, {debian}: Debian's
    theirs: str = ""               # key of the peer's figure; with no variants, of our own line
    probe: str = ""                # arguments that make a variant's trial short
    data: str = ""                 # case whose data both read; {data} is its folder
    environment: dict = dataclasses.field(default_factory=dict)
    unit: str = "ms"
    at_most: bool = False          # the bars are upper bounds, and the ratio is ours over theirs
    pairs: int = 3
    extra: bool = False            # measured only where --only names it


def step_row(name, model, shape, rank, at_least, aim):
    """A training step against PyTorch: low-rank, or dense with rank 0. Both kinds of ours run in one program."""
    torch = f"{{peers}}/torch_step.py --model {model} --input {shape} --rank {rank} --steps 10"
    label, kind = {"resnet10": "ResNet-10", "resnet18": "ResNet-18"}[model], f"r = {rank}" if rank else "dense"
    return Row(name=name, against="PyTorch, low-rank side by side" if rank else "PyTorch, dense",
               work=f"step, {label}, {shape.replace('x', '×')}, batch 32, {kind}, 1 thread",
               ours=f"{{bin}}/step --model {model} --input {shape} --rank {rank or 32} --steps 10 --json",
               value="lowrank_ms" if rank else "dense_ms", at_least=at_least, aim=aim, theirs="ms", probe="--steps 3",
               variants=(f"{{python}} {torch}", f"{{debian}} {torch}"))


def self_row(rank, at_most, aim):
    """Our low-rank step against our dense one, interleaved within one program."""
    return Row(name=f"self_resnet18_r{rank}", against="itself",
               work=f"our low-rank step / our dense step, ResNet-18, r = {rank}, 1 thread",
               ours=f"{{bin}}/step --model resnet18 --input 3x32x32 --rank {rank} --steps 10 --json",
               value="lowrank_ms", theirs="dense_ms", at_least=at_most, aim=aim, at_most=True)


def round_row(name, algorithm, work, at_least, aim, extra=False):
    """A federation of the quickstart's shape against the same in PyTorch."""
    torch = f"{{peers}}/torch_round.py --data {{data}} --algorithm {algorithm} --rounds 2 --eval-every 3"
    splits = [f"--processes {p} --threads {t} --format {f}" for p, t in ((1, 2), (2, 1))
              for f in ("contiguous", "channels_last")]
    return Row(name=f"round_{name}", work=work, against="our own PyTorch federation, best threads", unit="s",
               ours=f"{{bin}}/round --case {name} --data {{data}} --threads 2 --rounds 2", value="total_seconds",
               theirs="total_seconds", at_least=at_least, aim=aim, data="quickstart",
               variants=tuple(f"{python} {torch} {s}" for python in ("{python}", "{debian}") for s in splits),
               probe="--rounds 1 --cohort 2 --eval-every 0", extra=extra)


def attention_row(length, heads):
    """Attention of one sequence, forward and backward pass."""
    what = f"--length {length} --heads {heads} --groups {heads} --steps 20"
    return Row(name=f"attention_{length}", work=f"attention, T = {length}, d = 64, forward + backward, 1 thread",
               against="PyTorch's scaled_dot_product_attention", ours=f"{{bin}}/attention {what}", value="ms",
               theirs="ms", variants=(f"{{python}} {{peers}}/torch_attention.py {what}",), at_least=1.0, aim=1.3, pairs=5)


def transformer_row(name, work, what, at_least, aim):
    """A LoRA step (rank 8 on queries and values) of a transformer."""
    return Row(name=name, work=f"LoRA step, {work}, r = 8, 1 thread", against="transformers + PEFT",
               ours=f"{{bin}}/transformer_step {what}", value="ms", theirs="ms", at_least=at_least, aim=aim,
               variants=(f"{{python}} {{peers}}/peft_step.py {what}",), probe="--steps 5", environment=ONE_THREAD)


FLOWER = "{python} {peers}/flower_logistic.py --data {data} --threads 2"
PFL = "{peers}/pfl_cifar.py --data {data}"
TWO_PROCESSES = "{python} -m torch.distributed.run --standalone --nproc-per-node 2"

ROWS = (
    step_row("step_resnet10_r128", "resnet10", "1x28x28", 128, 3.2, 4.5),
    step_row("step_resnet10_r32", "resnet10", "1x28x28", 32, 2.1, 3.0),
    step_row("step_resnet18_r128", "resnet18", "3x32x32", 128, 4.0, 5.5),
    step_row("step_resnet18_dense", "resnet18", "3x32x32", 0, 2.5, 3.2),
    self_row(32, 0.98, 0.88),
    self_row(128, 1.15, 1.03),
    Row(name="linear", work="factored Linear, M = 4096, n = m = 1024, r = 16, forward + backward, 1 thread",
        against="PyTorch + PEFT's LoRA Linear", ours="{bin}/linear --steps 20", value="ms", theirs="ms",
        variants=("{python} {peers}/peft_linear.py --steps 20",), at_least=1.0, aim=1.15, pairs=5),
    attention_row(512, 8),
    attention_row(2048, 2),
    transformer_row("minilm", "MiniLM, 32 sentences of 2 to 50 tokens, padded by the peer", "--model minilm", 1.8, 2.3),
    transformer_row("minilm_equal", "MiniLM, 32 sentences of 26 tokens", "--model minilm --shortest 26 --longest 26",
                    1.15, 1.3),
    transformer_row("smollm2", "SmolLM2-135M, 4 x 128 tokens",
                    "--model smollm2 --batch 4 --shortest 128 --longest 128 --steps 5", 1.1, 1.3),
    round_row("quickstart", "fedloru", "2 rounds, quickstart (FedLoRU), 2 threads", 3.0, 6.0),
    round_row("fedavg", "fedavg", "2 rounds, quickstart with FedAvg, 2 threads", 3.0, 6.0, extra=True),
    Row(name="round_logistic", work="100 rounds, logistic regression, 1000 clients, 10 a round, 2 threads",
        against="Flower's simulation", ours="{bin}/round --case logistic --data {data} --threads 2", unit="s",
        value="total_seconds", theirs="total_seconds", at_least=50.0, aim=500.0, data="logistic",
        variants=(f"{FLOWER} --engine clients", f"{FLOWER} --engine apps"), probe="--rounds 5", environment=ONE_THREAD),
    Row(name="round_cifar", work="20 rounds, CNN on CIFAR-10 shapes, 1000 users, 50 a round, 2 threads",
        against="pfl-research", ours="{bin}/round --case cifar --data {data} --threads 2", unit="s",
        value="total_seconds", theirs="total_seconds", at_least=4.0, aim=10.0, data="cifar",
        variants=tuple(f"{how} {PFL} --threads {threads} --format {f}"
                       for how, threads in ((TWO_PROCESSES, 1), ("{python}", 2))
                       for f in ("contiguous", "channels_last")),
        probe="--rounds 1 --cohort 10 --eval-every 0"),
    # Google Benchmark: names are WORK_LIBRARY/ARGUMENTS; libraries are compared within one run of the program.
    Row(name="kernels", work="GEMM and convolution inside the library, worst shape",
        against="best of Eigen, OpenBLAS, oneDNN called alone", ours="{bin}/kernels --benchmark_format=json",
        value="real_time", at_least=0.95, aim=1.0, environment=ONE_THREAD),
)

# ---- figures ----


def ratio(row, ours, theirs):
    """Of two times: how many times as fast ours is; where the bars are upper bounds, the share of theirs it takes."""
    return ours / theirs if row.at_most else theirs / ours


def verdict(row, value):
    """What a ratio reaches: the aim, the bar, or neither."""
    reached = (lambda bar: value <= bar) if row.at_most else (lambda bar: value >= bar)
    return "aim" if reached(row.aim) else "bar" if reached(row.at_least) else "missed"


def kernel_ratios(benchmarks, value="real_time"):
    """{WORK/ARGUMENTS: time of the fastest other library / time of loru} of Google Benchmark's list. Medians where a
    run was repeated."""
    times = {}
    for entry in benchmarks:
        if entry.get("run_type") == "aggregate":
            continue
        function, _, arguments = entry.get("run_name", entry["name"]).partition("/")
        work, _, library = function.rpartition("_")
        times.setdefault(f"{work}/{arguments}", {}).setdefault(library, []).append(entry[value])
    ratios = {}
    for work, libraries in times.items():
        medians = {library: statistics.median(values) for library, values in libraries.items()}
        ours = medians.pop("loru", None)
        if ours and medians:
            ratios[work] = min(medians.values()) / ours
    return ratios


def number(value):
    """Three figures that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def line(row, result):
    """A row of the Markdown table."""
    bound = "≤ " if row.at_most else ""
    times = [f"{number(result[side])} {row.unit}" if side in result else "" for side in ("ours", "theirs")]
    versions = ", ".join(f"{name} {version}" for name, version in result.get("versions", {}).items())
    against = f"{row.against} ({versions})" if versions else row.against
    return (f"| {row.work} | {against} | {times[0]} | {times[1]} | {result['ratio']:.2f} | "
            f"{bound}{row.at_least:g} | {bound}{row.aim:g} | {verdict(row, result['ratio'])} |")


def where(result):
    """What a result was measured on."""
    m = result["machine"]
    return f"Measured {m['date']} on {m['cpu']}, {m['cores']} cores, {m['system']}, {m['compiler']}."


def table(rows, results):
    """A Markdown table for each machine, of those rows that have a result, and under it what it was measured on."""
    lines = []
    for place in sorted({where(result) for result in results.values()}):
        lines += ["| work | against | ours | theirs | ratio | bar | aim | reaches |", "|---|---|---|---|---|---|---|---|"]
        lines += [line(row, results[row.name]) for row in rows if row.name in results and where(results[row.name]) == place]
        lines += ["", place, ""]
    return "\n".join(lines[:-1])


def put_table(text, new):
    """`text` with what stands between the markers replaced. Raises ValueError without the two markers."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"expected one '{BEGIN}' and one '{END}'")
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{new}\n{END}{rest.split(END)[1]}"


# ---- running ----


def last_json(output):
    """The last line of the output that is a JSON object, or all of it. Raises ValueError if there is none."""
    for text in [*reversed(output.splitlines()), output]:
        try:
            found = json.loads(text)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    raise ValueError(f"expected a line of JSON, got: {output[-400:]!r}")


class Runner:
    def __init__(self, binaries, python):
        self.places = {"bin": binaries, "peers": ROOT / "bench" / "peers", "python": python, "debian": DEBIAN_PYTHON}
        # A core forced upon OpenBLAS would slow whoever uses it.
        self.environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}

    def data(self, case):
        """The folder of a case's data, written on first use."""
        folder = DATA / case
        if not (folder / "t10k-labels-idx1-ubyte").exists():
            self("{bin}/round --case " + case + f" --export {folder}")
        return folder

    def __call__(self, command, row=None, peer=False):
        """Runs a command and returns its line of JSON, else raises RuntimeError."""
        places = {**self.places, "data": self.data(row.data) if row and row.data else ""}
        words = [word.format(**places) for word in command.split()]
        extra = {**(PEER_ENVIRONMENT if peer else {}), **(row.environment if row else {})}
        done = subprocess.run(words, env={**self.environment, **extra}, capture_output=True, text=True, timeout=1800)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()[-400:]}")
        return last_json(done.stdout)


def usable(row, debian_torch):
    return [v for v in row.variants if debian_torch or not v.startswith("{debian}")]


def fastest_variant(run, row, debian_torch):
    """Tries each variant for a short while. Returns the fastest and what all took."""
    trials = {}
    for variant in usable(row, debian_torch):
        try:
            trials[variant] = run(f"{variant} {row.probe}", row, peer=True)[row.theirs]
        except RuntimeError as error:
            print(f"  left out: {error}", file=sys.stderr)
    if not trials:
        raise RuntimeError(f"{row.name}: no variant of the peer runs")
    return min(trials, key=trials.get), trials


def measure(run, row, debian_torch):
    """One row: pairs of ours and the peer in turn."""
    if row.name == "kernels":
        ratios = kernel_ratios(run(row.ours, row)["benchmarks"], row.value)
        if not ratios:
            raise RuntimeError("kernels: expected names WORK_LIBRARY/ARGUMENTS with loru and another library")
        return {"ratio": min(ratios.values()), "ratios": ratios}
    if not row.variants:
        samples = [run(row.ours, row) for _ in range(row.pairs)]
        ours, theirs, trials, variant = samples, samples, {}, ""
    else:
        variant, trials = fastest_variant(run, row, debian_torch)
        ours, theirs = [], []
        for _ in range(row.pairs):
            ours.append(run(row.ours, row))
            theirs.append(run(variant, row, peer=True))
    a, b = [s[row.value] for s in ours], [s[row.theirs] for s in theirs]
    result = {"ours": statistics.median(a), "theirs": statistics.median(b),
              "ratio": ratio(row, statistics.median(a), statistics.median(b)),
              "ratios": [ratio(row, x, y) for x, y in zip(a, b)], "samples_ours": ours}
    if variant:
        versions = {k: v for k, v in theirs[0].items() if k in ("torch", "transformers", "peft", "flwr", "pfl")}
        result.update(samples_theirs=theirs, variant=variant, trials=trials, versions=versions)
    return result


def machine():
    """What it is measured on."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        cpu = found[1] if found else cpu
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True).stdout.splitlines()
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform(terse=True),
            "compiler": compiler[0] if compiler else "", "load": os.getloadavg()[0],
            "date": datetime.date.today().isoformat()}


def has_torch(python):
    return Path(python).exists() and subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0


def write_table():
    results = {row.name: json.loads(path.read_text()) for row in ROWS
               if (path := RESULTS / f"{row.name}.json").exists()}
    TABLE.write_text(put_table(TABLE.read_text(), table(ROWS, results)))


def run_alone(run, rows):
    """Our figures alone."""
    results = {}
    for row in rows:
        result = run(row.ours, row)
        results[row.name] = result
        if "benchmarks" not in result:
            print(f"{row.name:22} {number(result[row.value]):>8} {row.unit}   {row.work}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ours.json").write_text(json.dumps({"machine": machine(), "rows": results}, indent=1) + "\n")


def run_pairs(run, rows):
    """Ours and the peers in turn; one file a row, then the table. Returns the number of rows that failed."""
    failed, debian_torch = 0, has_torch(DEBIAN_PYTHON)
    if not debian_torch:
        print("Debian's python3-torch is not there: its PyTorch is left out")
    RESULTS.mkdir(exist_ok=True)
    for row in rows:
        try:
            result = {"row": row.name, "work": row.work, "against": row.against, "machine": machine(),
                      **measure(run, row, debian_torch)}
        except (RuntimeError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            failed += 1
            print(f"{row.name}: {error}", file=sys.stderr)
            continue
        (RESULTS / f"{row.name}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(f"{row.name:22} ratio {result['ratio']:.2f} ({verdict(row, result['ratio'])})   {row.work}", flush=True)
    write_table()
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", metavar="PYTHON", help="the Python that has the peers")
    parser.add_argument("--bin", default=str(ROOT / "build" / "release" / "bin"), help="folder of our programs")
    parser.add_argument("--only", metavar="NAME", action="append", help="this row alone; may be repeated")
    parser.add_argument("--pairs", type=int, help="pairs of each row, at least 3")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--table", action="store_true", help="only write the table anew")
    o = parser.parse_args()
    if o.list:
        print("\n".join(f"{row.name:22} {row.work}" for row in ROWS))
        return 0
    if o.table:
        write_table()
        return 0
    unknown = set(o.only or ()) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"--only: expected one of {', '.join(row.name for row in ROWS)}, got {', '.join(sorted(unknown))}")
    rows = [row for row in ROWS if (row.name in o.only if o.only else not row.extra)]
    rows = [row for row in rows if row.name != "kernels" or (Path(o.bin) / "kernels").exists()]
    if o.pairs:
        rows = [dataclasses.replace(row, pairs=max(3, o.pairs)) for row in rows]
    run = Runner(o.bin, o.peers)
    if o.peers:
        return 1 if run_pairs(run, rows) else 0
    run_alone(run, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
