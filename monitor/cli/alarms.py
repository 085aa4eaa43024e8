"""Commands about trust in the alarm: calibrate it, compare any two periods, accept a change."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import typer

from monitor.calibration import held_out, level_of, past_against_itself, reference_against_itself, tolerance_of
from monitor.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    MonitorOption,
    open_current_store,
    print_json,
    progress_bar,
    read_time,
    settings_of,
    stdout,
    table,
)
from monitor.cli.reading import WindowOption, find_run
from monitor.cli.reference import load_reference
from monitor.decide import key_of
from monitor.errors import ConfigError
from monitor.past import Memory, phase_of
from monitor.settings import MonitorSettings
from monitor.sketches import compare as compare_sums
from monitor.sketches import from_bytes
from monitor.store import PastWindow, Store
from monitor.values import Baseline, BlockSums, Calibration, Level, Measurement, Silence, Window

__all__ = ["add_to"]

_SEED = 20_260_301
_ROUNDS = 200
_ENOUGH = 10


def _past(store: Store, one: MonitorSettings, memory: Memory) -> list[PastWindow]:
    return list(store.past_windows(one.name, memory.plan.fingerprint, store.now()))


def _sums(store: Store, windows: list[PastWindow], segment: str = "") -> list[BlockSums]:
    found = store.block_sums([w.run_id for w in windows])
    return [from_bytes(found[w.run_id][segment]) for w in windows if segment in found.get(w.run_id, {})]


def calibrate(
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    rounds: Annotated[int, typer.Option("--rounds", min=20, help="Draws from the reference.")] = _ROUNDS,
    as_json: JsonOption = False,
) -> None:
    """Hold the reference and the accepted past against themselves: how often the test cries wolf, and what is tolerable."""
    settings = settings_of(config_path)
    one = settings.monitor(monitor)
    with open_current_store(settings) as store:
        reference = load_reference(settings, store, one.name, None)
        memory = Memory.of(reference)
        windows = [w for w in _past(store, one, memory) if w.accepted]
        past = _sums(store, windows)
        rows = round(float(np.median([w.rows.sum() for w in past]))) if past else one.sample.size
        rng = np.random.default_rng(_SEED)
        with progress_bar() as progress:
            drawn = reference_against_itself(memory.plan, held_out(reference), rows, rounds, rng, progress)
        replayed = [
            m for some in _alike(one, windows) for m in past_against_itself(memory.plan, _sums(store, some), rng)
        ]
        found = Calibration(
            one.name, store.now(), reference.version, _level(drawn), _level(replayed), tolerance_of(replayed or drawn)
        )
        store.keep_calibration(found)
    if as_json:
        print_json(found)
        return
    looks = one.policy.run_length(one.schedule)
    table(
        f"Calibration of {one.name}: looks of {rows:,} records at traffic without drift",
        ["what", "looks", "p <= 5 %", "95 % interval"],
        [
            _row("draws from the reference", found.reference),
            _row("accepted windows, each against the others", found.past),
        ],
    )
    for sentence in (
        *_advice(found),
        f"Budget: {one.policy.false_alarms}, one false alarm in {looks:,.0f} looks at most.",
    ):
        stdout.print(sentence, soft_wrap=True)


def _alike(one: MonitorSettings, windows: list[PastWindow]) -> list[list[PastWindow]]:
    """Windows that are compared with each other: all of them, or those of one place in the season; ten at least."""
    found: dict[object, list[PastWindow]] = {}
    for w in windows:
        found.setdefault(one.policy.season and phase_of(w.window.start, one.policy.season), []).append(w)
    return [some for some in found.values() if len(some) >= _ENOUGH]


def _level(measured: list[Measurement]) -> Level | None:
    return level_of([m.p_value for m in measured if m.p_value is not None])


def _row(what: str, level: Level | None) -> tuple[str, ...]:
    if level is None:
        return what, "0", "-", "-"
    return what, f"{level.looks}", f"{level.share:.1%}", f"{level.low:.1%} to {level.high:.1%}"


def _advice(found: Calibration) -> list[str]:
    said = [f"Suggested policy.tolerance: {found.tolerance:.2g} (share of traffic)."]
    if found.past is not None and found.past.low > 0.05:
        said.append(
            "Accepted windows differ from each other more often than chance allows: traffic has a rhythm or depends on itself. "
            "Set policy.season (1w for hours of the week), or fields.block, or longer windows."
        )
    return said


def _period(one: MonitorSettings, text: str, name: str) -> Window:
    """``2026-01-05`` is the window around that time, ``2026-01-05/2026-02-02`` everything between two."""
    first, slash, last = text.partition("/")
    if not slash:
        return one.schedule.tiling.at(read_time(first, name))
    start, end = read_time(first, name), read_time(last, name)
    if not start < end:
        raise ConfigError(f"{name} {text}: the start is not before the end")
    return Window(start, end)


def _within(windows: list[PastWindow], period: Window, name: str) -> list[PastWindow]:
    found = [w for w in windows if period.start <= w.window.start and w.window.end <= period.end]
    if not found:
        raise ConfigError(
            f"{name}: no window of {period} has its sums kept under the reference in use; drift-monitor runs lists the "
            "windows, and drift-monitor backfill runs those that were never run"
        )
    return found


def compare(
    before: Annotated[str, typer.Argument(metavar="WINDOW", help="A time inside a window, or START/END.")],
    after: Annotated[str, typer.Argument(metavar="WINDOW", help="The same for the other period.")],
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare any two periods that were run, from what was kept of them: nothing is read or embedded again."""
    settings = settings_of(config_path)
    one = settings.monitor(monitor)
    with open_current_store(settings) as store:
        memory = Memory.of(load_reference(settings, store, one.name, None))
        windows = _past(store, one, memory)
        periods = [_period(one, before, "first WINDOW"), _period(one, after, "second WINDOW")]
        chosen = [_within(windows, period, str(period)) for period in periods]
        contents = [store.block_sums([w.run_id for w in some]) for some in chosen]
    segments = sorted(
        {s for found in contents[0].values() for s in found} & {s for f in contents[1].values() for s in f}
    )
    rng = np.random.default_rng(_SEED)
    measured: list[Measurement] = []
    for segment in segments:
        left, right = ([from_bytes(held[segment]) for held in found.values() if segment in held] for found in contents)
        measured += [replace(m, segment=segment) for m in compare_sums(left, right, memory.plan, rng)]
    if as_json:
        print_json({"before": periods[0], "after": periods[1], "measurements": measured})
        return
    table(
        f"{one.name}: {periods[1]} against {periods[0]}",
        ["subject", "segment", "share of traffic", "95 % interval", "p", "records"],
        [
            (
                m.subject,
                m.segment or "all",
                f"{m.effect:.1%}" if m.subject != "confidence" else f"{m.effect:.3f}",
                f"{m.low:.1%} to {m.high:.1%}" if m.subject != "confidence" else f"{m.low:.3f} to {m.high:.3f}",
                "-" if m.p_value is None else f"{m.p_value:.2g}",
                f"{m.n_current:,} against {m.n_reference:,}",
            )
            for m in measured
        ],
    )


def accept(
    by: Annotated[str, typer.Option("--by", help="Who accepts it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why the change is wanted or harmless.")],
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    window: WindowOption = None,
    until: Annotated[str | None, typer.Option("--until", help="When the acceptance ends; default: never.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be accepted.")] = False,
) -> None:
    """Accept traffic as it was in a window and since: alarms compare with that from now on, and their evidence begins anew."""
    settings = settings_of(config_path)
    with open_current_store(settings) as store:
        run = find_run(settings, store, monitor, window)
        effects = {key_of(m): max(m.effect, m.high) for m in run.measurements if m.p_value is not None}
        if not effects:
            raise ConfigError(f"the run of {run.window} measured nothing that could be accepted")
        end = read_time(until, "--until") if until else None
        baseline = Baseline(run.monitor, run.window.start, by, reason, store.now(), end, effects)
        if not dry_run:
            store.accept_baseline(baseline)
    said = "would be accepted" if dry_run else "accepted"
    stdout.print(
        f"{len(effects)} effects of {run.window} {said} by {by}" + (f" until {end.isoformat()}" if end else ""),
        soft_wrap=True,
    )


def silence(
    config_path: ConfigOption = DEFAULT_CONFIG,
    monitor: MonitorOption = None,
    until: Annotated[
        str | None, typer.Option("--until", help="When to speak again; default: after policy.silence.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Who wants it.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="Speak again from now on.")] = False,
) -> None:
    """Say nothing about a monitor's drift for a while: no ticket, no comment, no message, no alert. Runs and metrics go on."""
    settings = settings_of(config_path)
    one = settings.monitor(monitor)
    if not lift and not (by and reason):
        raise ConfigError("silence needs --by and --reason, so that others know whom to ask")
    with open_current_store(settings) as store:
        if lift:
            ended = store.lift_silence(one.name)
            stdout.print(f"{one.name} speaks again" if ended else f"{one.name} was not silenced")
            return
        end = read_time(until, "--until") if until else store.now() + one.policy.silence
        if end <= store.now():
            raise ConfigError(f"--until: {end.isoformat()} is past")
        store.silence(Silence(one.name, end, by, reason, store.now()))
    stdout.print(f"{one.name} is silent about drift until {end.isoformat()}", soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("silence")(silence)
    app.command("calibrate")(calibrate)
    app.command("compare")(compare)
    baseline = typer.Typer(help="Changes the owner accepts.", no_args_is_help=True)
    baseline.command("accept")(accept)
    baseline.callback()(lambda: None)
    app.add_typer(baseline, name="baseline")
