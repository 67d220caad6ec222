"""How commands speak: tables for people, one JSON document for programs, progress meanwhile."""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from sf_assets.pipeline import progress

Command = Callable[..., Any]
_DAY = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")

messages = Console(stderr=True, highlight=False)
"""Where progress and errors go, so that the standard output holds results alone."""


def json_option(command: Command) -> Command:
    """Add `--json` to a command."""
    return click.option("as_json", "--json", is_flag=True, help="Print one JSON document.")(command)


def object_option(command: Command) -> Command:
    """Add `--object`, repeatable, to a command."""
    return click.option(
        "objects", "--object", multiple=True, metavar="NAME", help="Only this object; repeatable."
    )(command)


def org_option(command: Command) -> Command:
    """Add `--org`, repeatable, to a command."""
    return click.option(
        "orgs", "--org", multiple=True, metavar="NAME", help="Only this org of several; repeatable."
    )(command)


def warehouse_option(command: Command) -> Command:
    """Add `--warehouse`, repeatable, to a command."""
    return click.option(
        "warehouses",
        "--warehouse",
        multiple=True,
        metavar="NAME",
        help="Only this warehouse of several; repeatable.",
    )(command)


class Day(click.DateTime):
    """A day, written as 2026-11-30."""

    name = "day"

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The day; one that is written well and that no calendar has is told to be that."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            if _DAY.fullmatch(value):
                self.fail(f"there is no day {value}", param, ctx)
            raise


def fail(message: str, *, as_json: bool) -> NoReturn:
    """End with an error: one line for people, a document for programs, exit code 1."""
    print_error(message, as_json=as_json)
    sys.exit(1)


def print_error(message: str, *, as_json: bool) -> None:
    """Say why a command ends early: one line for people, a document for programs."""
    if as_json:
        emit({"ok": False, "error": message})
    else:
        messages.print(f"error: {message}", style="red", markup=False, soft_wrap=True)


def show_errors(errors: Mapping[str, str]) -> None:
    """Say what failed, by name."""
    for name, reason in errors.items():
        messages.print(f"{name}: {reason}", style="red", markup=False, soft_wrap=True)


def emit(document: Any) -> None:
    """Print a JSON document."""
    click.echo(json.dumps(document, indent=2, default=_plain, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table: numbers to the right, as wide as its content where nobody is looking."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for position, name in enumerate(columns):
        numeric = any(isinstance(row[position], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    console.print(table)


def limits_text(standings: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """How limits stand, as a document."""
    return {
        name: {"used": s.used, "allowed": s.allowed, "reserve": s.reserve, "left": s.left}
        for name, s in standings.items()
    }


def show_budget(limits: Mapping[str, Mapping[str, int]]) -> None:
    """Show how limits stand, each with used, allowed, reserve and left."""
    rows = [(n, s["used"], s["left"], s["reserve"], s["allowed"]) for n, s in limits.items()]
    show("API budget", ("limit", "used", "left for us", "reserve", "allowed a day"), rows)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


@contextmanager
def watching(*, quiet: bool) -> Iterator[None]:
    """Show the pipeline's progress: bars on a terminal, plain lines elsewhere, nothing if quiet."""
    logger = progress.log
    if quiet:
        yield
        return
    handler: logging.Handler = _Bars() if messages.is_terminal else _Lines()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
        handler.close()


class _Lines(logging.Handler):
    """One line for each message worth reading."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.INFO:
            messages.print(record.getMessage(), markup=False, soft_wrap=True)


class _Bars(logging.Handler):
    """A bar for each object at work; warnings above them."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description:<26}"),
            TextColumn("{task.fields[stage]:<9}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:>12,.0f} rows"),
            TimeElapsedColumn(),
            console=messages,
            transient=True,
        )
        self._progress.start()

    def emit(self, record: logging.LogRecord) -> None:
        step = getattr(record, "progress", None)
        if isinstance(step, progress.Progress):
            self._advance(step)
        elif record.levelno >= logging.WARNING:
            self._progress.print(record.getMessage(), markup=False, soft_wrap=True)

    def _advance(self, step: progress.Progress) -> None:
        if step.stage in progress.ENDS:
            if step.object in self._tasks:
                self._progress.remove_task(self._tasks.pop(step.object))
            return
        if step.object not in self._tasks:
            self._tasks[step.object] = self._progress.add_task(step.object, stage=step.stage)
        task = self._tasks[step.object]
        self._progress.update(task, stage=step.stage, completed=step.rows, total=step.total)

    def close(self) -> None:
        self._progress.stop()
        super().close()
