"""How far the latest sweep of a results folder is: what is stored, and what the sweep itself noted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from sweeps.results.inventory import Inventory, inventory_of
from sweeps.results.running_sweeps import SILENT_SECONDS, RunningSweep
from sweeps.results.store import Store
from sweeps.running.progress import clock
from trainables.stages import MeasurementStage, Stage
from trainables.stages.measurement import measurements, settings_key

QUIET_SECONDS = 15
"""After so long without one that is said."""

RATE_SECONDS = 3600
"""The rate is taken over so much of the past at most."""

SHOWN_ERRORS = 5


@dataclass(frozen=True)
class SweepStatus:
    """How far a sweep is.

    Attributes:
        title: Of the sweep.
        points: Number of points by state: done, of these diverged, running, failed, and waiting but for searches.
        rate: Points stored in an hour, over the last hour or the time since the first; None for fewer than two.
        sign: What the sweep noted last of itself (as :meth:`sweeps.running.progress.SweepProgress.as_json`), or None.
        silent: Seconds since then; NaN without.
        errors: The latest failures, the newest first: what failed, why, and when.
        starting: A sweep that starts, and has noted nothing yet; then all else is of none.
    """

    title: str
    points: Mapping[str, int]
    rate: float | None
    sign: Mapping[str, Any] | None
    silent: float
    errors: Sequence[tuple[str, str, datetime]]
    starting: RunningSweep | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was alive a moment ago."""
        return self.sign is not None and _is_alive(self.sign, self.silent)

    @property
    def goes_on(self) -> bool:
        """Whether there is more to come."""
        return self.is_running or self.starting is not None

    def lines(self) -> list[str]:
        """What to say about it."""
        if self.starting is not None:
            return [f"The sweep starts ({self.starting}); its results go to {self.title}."]
        points, total = self.points, sum(count for state, count in self.points.items() if state != "diverged")
        of, waiting = (f" of {total}", f", {points['waiting']} waiting") if "waiting" in points else ("", "")
        diverged = f" ({points['diverged']} of them diverged)" if points["diverged"] else ""
        said = [
            self.title,
            f"{points['done']}{of} points done{diverged}, {points['running']} running, "
            f"{points['failed']} failed{waiting}",
        ]
        if self.rate is not None and self.is_running:
            said.append(f"{self.rate:.1f} points stored in an hour")
        said.append(self._life())
        if self.is_running and self.sign is not None:
            said += [f"  {what}: {share:.0%}" for what, share in self.sign["running"].items()]
        if self.errors:
            said.append("Last errors:")
            said += [f"  {at:%Y-%m-%d %H:%M:%S} UTC, {what}: {why}" for what, why, at in self.errors]
        return said

    def _life(self) -> str:
        if self.sign is None:
            return "No sweep has noted its progress here."
        where, state = f"on {self.sign['host']}", self.sign["state"]
        if self.is_running:
            left = self.sign["seconds_left"]
            silent = f", last sign of life {clock(self.silent)} ago" if self.silent > QUIET_SECONDS else ""
            return f"Running {where}" + ("" if left is None else f", about {clock(left)} left") + silent
        ago = f"{clock(self.silent)} ago"
        if state == "running":
            return f"Lost: the sweep {where} gave its last sign of life {ago}; the same command continues it."
        return f"{'Ended' if state == 'ended' else 'Stopped before its end'} {where} {ago}."


def sweep_status(store: Store, now: datetime | None = None) -> SweepStatus:
    """Read how far the latest sweep of a store is; now is when that was read, if not given.

    Raises:
        NoSweepError: If there is none, and none starts.
        UsageError: If it cannot be read.
    """
    sign = _sign(store)
    now = now or datetime.now(UTC)
    silent = (now - sign["updated_at"]).total_seconds() if sign else float("nan")
    living = store.living_sweeps(now)
    if sign is not None and sign["sign"] is not None:
        sign |= {"is_dead": sign["sign"] not in living}
    others = [sweep for name, sweep in living.items() if sign is None or name != sign["sign"]]
    if others and not (sign is not None and _is_alive(sign, silent)):
        return SweepStatus(str(store.folder), {}, None, None, float("nan"), [], others[0])
    spec = store.spec()
    points = store.with_added_siblings(spec.points())
    keys = {stage.key for stage in points}
    columns = ["point", "status", "message", "created_at"]
    runs = store.table("runs", columns).to_pandas(use_threads=False)
    tables = [store.table(name, [*columns, "measurement"]) for name in MeasurementStage.tables()]
    measured = pd.concat([table.to_pandas(use_threads=False) for table in tables])
    measured = measured[measured["measurement"] == settings_key(spec.measurement)]
    runs, measured = (rows[rows["point"].isin(keys)] for rows in (runs, measured))
    inventory, beside = inventory_of(store), [stage for stage in spec.others() if stage.completes_point]
    rows_beside = _rows_of(beside, store)
    rows = pd.concat([runs, measured, rows_beside])
    states = _states([*measurements(points, spec.measurement), *beside], inventory, rows)
    if sign is not None and _is_alive(sign, silent):
        running = min(sign["points_running"], states["waiting"] + states["failed"])
        again = max(running - states["waiting"], 0)  # those that failed before
        states |= {"running": running, "waiting": states["waiting"] - running + again}
        states["failed"] -= again
    if sign is not None and sign["wanted"] is None:
        del states["waiting"]  # a search finds out on the way
    stages = {stage.key: str(stage) for stage in [*points, *beside]}
    failed = rows[rows["status"] == "failed"].sort_values("created_at", ascending=False).drop_duplicates("point")
    errors = [
        (stages[row.point], str(row.message), row.created_at.to_pydatetime())
        for row in failed.head(SHOWN_ERRORS).itertuples()
    ]
    whole = {stage.key for stage in beside if inventory.is_stored(stage)}
    rate = _rate(pd.concat([measured, rows_beside[rows_beside["point"].isin(whole)]]), now)
    return SweepStatus(f"{spec.title} ({store.folder})", states, rate, sign, silent, errors)


def _rows_of(stages: Sequence[Stage], store: Store) -> pd.DataFrame:
    """What is stored of stages that are no points, but counted as such: as of points."""
    names, keys = ["status", "message", "created_at"], {stage.key for stage in stages}
    rows = [
        {"point": key} | {name: row[name] for name in names}
        for kind in {stage.kind: type(stage) for stage in stages}.values()
        for table in kind.tables()
        for row in store.rows(table, [*names, *kind.columns_read(table)])
        if (key := kind.parts_in_row(table, row)[0]) in keys
    ]
    return pd.DataFrame(rows, columns=["point", *names])


def _is_alive(sign: Mapping[str, Any], silent: float) -> bool:
    """Whether it was running a moment ago; clocks may differ a little."""
    return sign["state"] == "running" and not sign["is_dead"] and abs(silent) < SILENT_SECONDS


def _sign(store: Store) -> dict[str, Any] | None:
    """What a sweep noted, if it is of this version. Whether it has died since is told by its sign among others."""
    sign = store.progress()
    needed = ("host", "state", "updated_at", "running", "seconds_left", "points", "wanted")
    if sign is None or not all(name in sign for name in needed):
        return None
    try:
        left = sign["seconds_left"]
        return {
            "host": str(sign["host"]),
            "state": str(sign["state"]),
            "updated_at": datetime.fromisoformat(sign["updated_at"]).astimezone(UTC),
            "running": {str(stage): min(max(float(share), 0.0), 1.0) for stage, share in sign["running"].items()},
            "seconds_left": None if left is None else min(max(float(left), 0.0), 1e9),
            "points_running": max(int(sign["points"]["running"]), 0),
            "wanted": sign["wanted"],
            "sign": sign.get("sign"),
            "is_dead": False,
        }
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError):
        return None


def _states(stages: Sequence[Stage], inventory: Inventory, rows: pd.DataFrame) -> dict[str, int]:
    """Number of points by what is stored of them; the last stage of each decides."""
    diverged, failed = (set(rows[rows["status"] == status]["point"]) for status in ("diverged", "failed"))
    states = dict.fromkeys(("done", "diverged", "running", "failed", "waiting"), 0)
    for stage in stages:
        if not stage.completes_point:
            continue
        key = stage.siblings.key if isinstance(stage, MeasurementStage) else stage.key
        if inventory.is_stored(stage):
            states["done"] += 1
            states["diverged"] += key in diverged
        else:
            states["failed" if key in failed else "waiting"] += 1
    return states


def _rate(rows: pd.DataFrame, now: datetime) -> float | None:
    """Points stored in an hour, from the first of the recent ones on."""
    at = rows[rows["status"] != "failed"].groupby("point")["created_at"].max()
    recent = at[at > now - timedelta(seconds=RATE_SECONDS)]
    if len(recent) < 2:
        return None
    seconds = (now - recent.min()).total_seconds()
    return (len(recent) - 1) / max(seconds, 1.0) * 3600
