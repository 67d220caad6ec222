"""Results as people read them and as programs do: a Markdown table, and the same as JSON."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("results")
Facts = Mapping[str, str | int | float]
_PACKAGES = ("sf-assets", "dagster", "duckdb", "polars", "pyarrow", "numpy", "simple-salesforce")


@dataclass(frozen=True, slots=True)
class Line:
    """One number.

    Attributes:
        part: The letter of the part it belongs to.
        what: What was measured.
        value: The number.
        unit: Its unit; empty for a ratio.
        least: The promise, where it is a least number.
        most: The promise, where it is a greatest number.
    """

    part: str
    what: str
    value: float
    unit: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def kept(self) -> bool | None:
        """Whether the promise is kept; None where there is none."""
        if self.least is not None:
            return self.value >= self.least
        return None if self.most is None else self.value <= self.most

    @property
    def target(self) -> str:
        """The promise, in words."""
        if self.least is not None:
            return f"≥ {_formatted(self.least)}"
        return "" if self.most is None else f"≤ {_formatted(self.most)}"


def machine() -> Facts:
    """What the numbers were measured on, and how busy it was."""
    facts: dict[str, str | int | float] = {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory": f"{_memory_gb():.0f} GB",
        "load at the start": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }
    return facts | {name: version(name) for name in _PACKAGES}


def publish(name: str, facts: Facts, lines: Sequence[Line]) -> str:
    """Write both forms under a name.

    Returns:
        The Markdown.
    """
    text = _markdown(facts, lines)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    numbers = [asdict(line) | {"kept": line.kept} for line in lines]
    document = {"machine": facts, "results": numbers}
    spelt = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(spelt, encoding="utf-8")
    return text


def _markdown(facts: Facts, lines: Sequence[Line]) -> str:
    rows = ["| | what | measured | promised | |", "|---|---|--:|--:|---|"]
    for line in lines:
        verdict = {True: "kept", False: "**missed**", None: ""}[line.kept]
        measured = f"{_formatted(line.value)} {line.unit}".strip()
        rows.append(f"| {line.part} | {line.what} | {measured} | {line.target} | {verdict} |")
    told = [f"- {name}: {value}" for name, value in facts.items()]
    return "\n".join(["# Benchmark results", "", *rows, "", *told, ""])


def _formatted(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 (wherever it is)
        cwd=RESULTS.parent, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    return told.stdout.strip() or "unknown"


def _processor() -> str:
    """Its name, where the system tells it in the way that Linux does."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in told.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 10**9
