"""One sweep with the real command and real Ray: from the start to the diagram, killed and continued."""

import pandas as pd
from support import PATIENCE, assert_same, grid, start_grid, tables, until, workers

from sweeps.results.store import Store


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


def test_after_kill_9_of_a_worker_and_of_the_command_the_same_command_ends_with_the_same_values(undisturbed, tmp_path):
    """The worker in the middle of dense training, the command in that of retraining."""
    out = tmp_path / "results"
    training = out / "artifacts" / "training"

    def running(dense):
        return [file for file in training.glob("*.pt") if file.name.startswith("dense-") == dense]

    killed = start_grid(out)
    until(lambda: running(dense=True), killed)
    until(lambda: workers(killed), killed)[0].kill()
    until(lambda: running(dense=False), killed)
    killed.kill()
    killed.communicate()
    stored = len(Store(out).stored())
    assert stored < 4
    again = start_grid(out)
    said, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, said
    assert f"4 points wanted, {stored} stored" in said
    assert "4 of 4 points done" in said
    assert list(training.glob("*")) == []
    assert_same(out, undisturbed[0])
