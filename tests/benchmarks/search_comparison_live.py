"""The same comparison with real training on Ray Tune: ``python tests/benchmarks/search_comparison_live.py RESULTS``.

RESULTS is a complete grid's folder: its dense models are pruned and retrained again for what random search, Optuna's
TPE and ASHA ask for, as many trials at once as there are cores, and its table says what the best would have been. The
search itself is run live by ``python sweeps/tune_temperature.py --out NEW_FOLDER``.
"""

import logging
import os
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

os.environ.update(RAY_AIR_NEW_OUTPUT="0", TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", RAY_CHDIR_TO_TRIAL_DIR="0")

import optuna
import pandas as pd
import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.optuna import OptunaSearch

from sweeps.results.phase import phase_table, rows_of
from sweeps.results.store import Store
from sweeps.running.options import machine_cores
from sweeps.spec.spec import SweepSpec
from trainables.stages.machine import Machine, task_of
from trainables.stages.point import TEST_EPOCHS, pruned_of, retraining
from trainables.storage.local_folder import LocalFolder

EVALUATIONS = 3
RUNGS = (25, 50)


def retrain(config: dict[str, Any], spec: SweepSpec, folder: str) -> None:
    """A trial: retrain the siblings of every dense seed, reporting their mean validation error."""
    torch.set_num_threads(1)
    temperature = sorted(spec.temperatures)[config["index"]]
    stages = [
        stage for stage in spec.points() if (stage.label.temperature, stage.label.load) == (temperature, config["load"])
    ]
    machine = Machine(LocalFolder(folder), torch.device("cpu"))
    task = task_of(stages[0].point.dense, machine)
    trainings = []
    for stage in stages:
        trainings.append(retraining(stage.point, stage.seeds, pruned_of(stage.point, machine), machine))
    epochs = stages[0].point.retrain.epochs
    last = []
    for epoch in range(1, epochs + 1):
        for training in trainings:
            training.run_epoch()
        percent = 100 * epoch / epochs
        if percent in RUNGS or epoch > epochs - TEST_EPOCHS:
            last.append(fmean(error for each in trainings for error in task.errors(each.stack, "validation")))
        if percent in RUNGS:
            tune.report({"percent": percent, "error": last.pop()})
    tune.report({"percent": 100, "error": fmean(last)})


def run(method: str, spec: SweepSpec, load: float, folder: str) -> list[dict[str, Any]]:
    """Results of the trials of one method at one density, each density with a seed of its own."""
    seed = spec.loads.index(load)
    count = len(spec.temperatures)
    space: dict[str, Any] = {"load": load, "index": tune.randint(0, count)}
    scheduler: TrialScheduler = FIFOScheduler()
    search: Any = BasicVariantGenerator(random_state=seed, max_concurrent=machine_cores())
    samples = EVALUATIONS
    if method == "TPE":
        search = OptunaSearch(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=1))
    if method == "ASHA":
        space["index"], samples = tune.grid_search(list(range(count))), 1
        scheduler = ASHAScheduler("percent", max_t=100, grace_period=RUNGS[0], reduction_factor=2)
    config = tune.TuneConfig(metric="error", mode="min", search_alg=search, scheduler=scheduler, num_samples=samples)
    trainable = tune.with_resources(tune.with_parameters(retrain, spec=spec, folder=folder), {"cpu": 1})
    tuner = tune.Tuner(trainable, param_space=space, tune_config=config, run_config=tune.RunConfig(verbose=0))
    return [result.metrics | {"index": result.config["index"]} for result in tuner.fit()]


def main() -> None:
    """Run the comparison."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    store = Store(sys.argv[1])
    spec = store.spec()
    table = phase_table(spec.points(), store, spec.thresholds, spec.measurement)
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    rows = []
    for method in ("random", "TPE", "ASHA"):
        for load in spec.loads:
            started = time.perf_counter()
            trials = run(method, spec, load, str(Path(store.artifacts.path)))
            known = {row["temperature"]: row for row in rows_of(table) if row["load"] == load}
            order = sorted(spec.temperatures)
            complete = [trial for trial in trials if trial["percent"] == 100]
            chosen = min(complete, key=lambda trial: trial["error"])
            different = {trial["index"]: trial["percent"] / 100 for trial in trials}
            best = min(row["test_error"] for row in known.values())
            off = max(abs(each["error"] - known[order[each["index"]]]["validation_error"]) for each in complete)
            rows.append(
                {
                    "method": method,
                    "load": load,
                    "trials": len(trials),
                    "evaluations": sum(different.values()),
                    "chosen": order[chosen["index"]],
                    "regret": known[order[chosen["index"]]]["test_error"] - best,
                    "off the table": off,
                    "seconds": time.perf_counter() - started,
                }
            )
            print(rows[-1], flush=True)
    means = pd.DataFrame(rows).groupby("method", sort=False)
    print(means[["trials", "evaluations", "regret", "off the table", "seconds"]].mean().round(4).to_string())


if __name__ == "__main__":
    main()
