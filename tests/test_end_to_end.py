"""One sweep with the real command and real Ray: from the start to the diagram, killed and continued."""

import signal

import pandas as pd
import pytest
from support import NOT_VALUES, PATIENCE, assert_same, grid, start_grid, tables, until, workers

from sweeps.results.store import Store
from trainables.stages import DenseStage, MeasurementStage
from trainables.storage.artifacts import load
from trainables.storage.local_folder import LocalFolder


def test_the_grid_ends_with_tables_regimes_and_a_diagram(undisturbed):
    out, done = undisturbed
    assert "4 of 4 points done" in done.stdout
    assert "Regimes" in done.stdout
    assert f"Phase diagram: {out}/phase_diagram.html" in done.stdout
    assert done.stderr == ""
    phase = pd.read_csv(out / "phase.csv")
    assert len(phase) == 4
    assert set(phase["status"]) == {"ok"}
    assert phase["regime"].isin(["I", "II-A", "II-B"]).all()
    assert list(phase.columns) == list(pd.read_parquet(out / "phase.parquet").columns)
    assert len(pd.read_parquet(out / "runs")) == 8
    assert len(pd.read_parquet(out / "pairs")) == 4
    assert (out / "phase_diagram.html").stat().st_size > 1_000_000
    assert not list((out / "artifacts" / "training").glob("*"))


def test_the_same_command_again_has_nothing_to_do(undisturbed, without_ray_and_torch):
    out, _ = undisturbed
    before = tables(out)
    again = grid(out, env=without_ray_and_torch)
    assert again.returncode == 0, again.stderr
    assert "4 points wanted, 4 stored" in again.stdout
    assert all(before[name].equals(table) for name, table in tables(out).items())


def test_a_dry_run_counts_and_starts_nothing(undisturbed, tmp_path, without_ray_and_torch):
    new = grid(tmp_path / "new", "--dry-run", env=without_ray_and_torch)
    assert new.stdout == (
        "dense models: 2 wanted, 0 stored, 2 to do in 1 trainings\npoints: 4 wanted, 0 stored, 4 to do\n"
    )
    assert not (tmp_path / "new").exists()
    wider = grid(undisturbed[0], "--densities", "0.05", "0.3", "--dry-run", env=without_ray_and_torch)
    assert "dense models: 2 wanted, 2 stored, 0 to do\n" in wider.stdout
    assert "points: 4 wanted, 2 stored, 2 to do" in wider.stdout
    other = grid(undisturbed[0], "--lr", "0.01", "--dry-run", env=without_ray_and_torch)
    assert "points: 4 wanted, 0 stored, 4 to do" in other.stdout


def test_what_is_killed_or_stopped_and_continued_ends_with_the_same_values(undisturbed, tmp_path):
    """A worker with kill -9 in the middle of dense training, the command in that of retraining; Ctrl-C; to the end."""
    out = tmp_path / "results"
    artifacts = LocalFolder(out / "artifacts")

    def epochs_saved(dense):
        """Of a training that runs."""
        for name in artifacts.names("training", ".pt"):
            if name.startswith("dense-") == dense and (state := load(artifacts, f"training/{name}.pt")):
                return state["training"]["epoch"]
        return 0

    first = start_grid(out)
    until(lambda: epochs_saved(dense=True), first)
    until(lambda: workers(first), first)[0].kill()
    until(lambda: len(Store(out).stored(DenseStage)) == 1, first)  # one training
    until(lambda: epochs_saved(dense=False), first)
    first.kill()
    assert first.wait() == -signal.SIGKILL
    assert len(Store(out).stored(MeasurementStage)) < 4

    second = start_grid(out)
    until(lambda: workers(second), second)
    second.send_signal(signal.SIGINT)
    said, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 130, said
    assert "the same command continues" in said
    stored = len(Store(out).stored(MeasurementStage))
    assert stored < 4

    last = start_grid(out)
    said, _ = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, said
    assert f"4 points wanted, {stored} stored" in said
    assert "4 of 4 points done" in said
    assert artifacts.names("training", ".pt") == []
    assert_same(out, undisturbed[0])


@pytest.mark.slow
def test_a_method_that_is_killed_in_its_rounds_and_continued_ends_with_the_same_values(tmp_path):
    """And a density that comes later goes on from what the rounds left."""
    method = ["--pruner", "lottery", "--prune-epochs", "4", "--temperatures", "6"]
    whole, out = tmp_path / "whole", tmp_path / "results"
    said = start_grid(whole, *method, "--densities", "0.05", "0.2", "0.6").communicate(timeout=PATIENCE)[0]
    assert "3 of 3 points done" in said
    artifacts = LocalFolder(out / "artifacts")
    first = start_grid(out, *method, "--densities", "0.2", "0.6")
    until(lambda: [name for name in artifacts.names("training", ".pt") if name.startswith("pruning-")], first)
    first.kill()
    first.wait()
    last = start_grid(out, *method, "--densities", "0.2", "0.6")
    said, _ = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, said
    last = start_grid(out, *method, "--densities", "0.05", "0.2", "0.6")
    said, _ = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, said
    assert "3 points wanted, 2 stored" in said
    assert artifacts.names("training", ".pt") == []
    assert_same(out, whole)
    for table, columns in (("pruned", ["target_density"]), ("rounds", ["round"])):
        ours, theirs = (pd.read_parquet(each / table).drop(columns=NOT_VALUES) for each in (out, whole))
        by = [each.sort_values(columns, ignore_index=True) for each in (ours, theirs)]
        pd.testing.assert_frame_equal(*by, check_exact=True)
