"""What a benchmark is, how it is measured in turns, and how its figures are written down."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

ROUNDS = 5  # the least of which a median says something
HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
MEMORY = Path("/dev/shm")  # noqa: S108 - the directories made below it are private
_ROOM_NEEDED = 10 * 1024**3  # bytes; the largest benchmark's files
_GOAL = re.compile(r"(value|ratio) (>=|<=) ([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a benchmark found. `baseline` is the peer's value in the same unit."""

    value: float
    baseline: float | None = None
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One line of the table: `measure` gets an empty directory."""

    name: str
    work: str  # for people: what is done
    against: str  # for people: by whom the baseline is done
    unit: str
    goal: str | None  # such as "ratio >= 1.0" or "value <= 0.4"
    measure: Callable[[Path], Measured]
    together: str = ""  # those of the same word are figures of one measurement

    @property
    def measurement(self) -> str:
        """What is measured at a time, in a process of its own."""
        return self.together or self.name


@dataclass(frozen=True, slots=True)
class Figure:
    """One entry of results.json."""

    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None
    goal: str | None

    def reached(self) -> bool | None:
        """Tell whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        words = _GOAL.fullmatch(self.goal)
        if words is None:
            message = f"{self.name}: no such goal: {self.goal}"
            raise ValueError(message)
        found = self.value if words[1] == "value" else self.ratio
        if found is None:
            return False
        wanted = float(words[3])
        return found >= wanted if words[2] == ">=" else found <= wanted


def in_turns(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int = ROUNDS
) -> Measured:
    """Measure both, in turns, changing who begins; each returns a speed: more is better.

    The ratio is the median of the rounds' ratios: both halves of a round see the same load.
    """
    pairs = []
    for number in range(rounds):
        if number % 2:
            theirs_first = theirs()
            pairs.append((ours(), theirs_first))
        else:
            pairs.append((ours(), theirs()))
    return Measured(
        statistics.median(mine for mine, _ in pairs),
        statistics.median(peer for _, peer in pairs),
        statistics.median(mine / peer for mine, peer in pairs),
    )


def run(
    benchmarks: Iterable[Benchmark], known: Sequence[Benchmark], results: Path = HERE
) -> list[Figure]:
    """Measure, and write results.json and results.md; what was not run keeps its figures.

    `known` are all there are: figures of others are forgotten.
    """
    benchmarks = list(benchmarks)
    names = {benchmark.name for benchmark in known}
    figures = {
        name: figure for name, figure in _earlier(results / "results.json").items() if name in names
    }
    moments = _moments(results / "measured.json")
    for benchmark in benchmarks:
        print(f"{benchmark.name}: {benchmark.work} …", flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=place()) as directory:
            measured = benchmark.measure(Path(directory))
        figure = _figure(benchmark, measured)
        figures[benchmark.name] = figure
        moments[benchmark.name] = f"{datetime.now(UTC):%Y-%m-%d %H:%M}, {os.getloadavg()[0]:.1f}"
        print("  " + _line(figure), flush=True)
        _write(results, figures.values(), known, moments)
    return [figures[benchmark.name] for benchmark in benchmarks]


def _figure(benchmark: Benchmark, measured: Measured) -> Figure:
    def short(number: float | None) -> float | None:
        return None if number is None else float(f"{number:.4g}")

    value = float(f"{measured.value:.4g}")
    baseline, ratio = short(measured.baseline), short(measured.ratio)
    return Figure(benchmark.name, value, benchmark.unit, baseline, ratio, benchmark.goal)


def place() -> Path:
    """Choose where images lie: in memory if they fit, so that no disk's mood is measured."""
    if chosen := os.environ.get("BENCH_DIR"):
        return Path(chosen)
    if MEMORY.is_dir():
        room = os.statvfs(MEMORY)
        if room.f_bavail * room.f_frsize >= _ROOM_NEEDED:
            return MEMORY
    return Path(tempfile.gettempdir())


def disk_place() -> Path:
    """Choose where images lie that have to be on a disk: /var/tmp survives a boot, by the FHS."""
    return Path(os.environ.get("BENCH_DIR", "/var/tmp"))  # noqa: S108 - as above


def _earlier(path: Path) -> dict[str, Figure]:
    if not path.exists():
        return {}
    return {entry["name"]: Figure(**entry) for entry in json.loads(path.read_text())}


def _moments(path: Path) -> dict[str, str]:
    """Return when each figure was measured (UTC), and the machine's load at its end."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _write(
    results: Path,
    figures: Iterable[Figure],
    known: Sequence[Benchmark],
    moments: Mapping[str, str],
) -> None:
    ordered = sorted(figures, key=lambda figure: figure.name)
    entries = [asdict(figure) for figure in ordered]
    (results / "results.json").write_text(json.dumps(entries, indent=1) + "\n")
    kept = {figure.name: moments.get(figure.name, "unknown") for figure in ordered}
    (results / "measured.json").write_text(json.dumps(kept, indent=1) + "\n")
    (results / "results.md").write_text(_page(ordered, known, kept))


def _line(figure: Figure) -> str:
    parts = [f"{figure.value:g} {figure.unit}"]
    if figure.baseline is not None:
        parts.append(f"baseline {figure.baseline:g}")
    if figure.ratio is not None:
        parts.append(f"ratio {figure.ratio:.2f}")
    if figure.goal is not None:
        parts.append(f"goal {figure.goal}: {'reached' if figure.reached() else 'NOT REACHED'}")
    return ", ".join(parts)


def _page(figures: Sequence[Figure], known: Sequence[Benchmark], moments: Mapping[str, str]) -> str:
    rows = [
        "| name | value | unit | baseline | ratio | goal | reached | measured (UTC), load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for figure in figures:
        cells = (figure.name, figure.value, figure.unit, figure.baseline, figure.ratio, figure.goal)
        reached = {None: "", True: "yes", False: "no"}[figure.reached()]
        texts = ["" if cell is None else str(cell) for cell in cells]
        rows.append("| " + " | ".join([*texts, reached, moments[figure.name]]) + " |")
    meanings = [
        "| name | what is done | baseline |",
        "|---|---|---|",
        *(f"| {one.name} | {one.work} | {one.against} |" for one in known),
    ]
    parts = (["# Benchmarks"], _circumstances(), rows, ["## What is measured"], meanings)
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _circumstances() -> list[str]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**2
    versions = [_version(program) for program in ("qemu-img", "nbdcopy", "virtnbdbackup")]
    return [
        (
            f"Last run {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {_processor()},"
            f" {os.cpu_count()} cores, {memory} MiB, Linux {platform.release()};"
            f" images in `{place()}`."
        ),
        f"Python {platform.python_version()}; {'; '.join(filter(None, versions))}.",
        "Each figure is a median of at least 5 rounds, ours and the baseline in turns. The",
        "ratio is our speed over the baseline's, the median of the rounds' ratios.",
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(program: str) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.splitlines()[0] if done.stdout else ""
