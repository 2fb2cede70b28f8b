"""Carrying out a plan with Ray, and watching it. What Ray reads when it is imported is set here, so before that."""

import os

os.environ.update(
    RAY_AIR_NEW_OUTPUT="0",  # together with verbose=0: Tune prints no boxes of its own
    RAY_CHDIR_TO_TRIAL_DIR="0",
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    RAY_USAGE_STATS_ENABLED=os.environ.get("RAY_USAGE_STATS_ENABLED", "0"),
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",  # otherwise five files for each trial
    TUNE_DISABLE_SIGINT_HANDLER="1",  # ours stops Tune through SIGUSR1, and remembers
    TUNE_MAX_PENDING_TRIALS_PG=os.environ.get("TUNE_MAX_PENDING_TRIALS_PG", "32"),  # for which a cluster grows
    TUNE_GLOBAL_CHECKPOINT_S="3600",  # Tune's own state is not needed: the store says what is missing
)
