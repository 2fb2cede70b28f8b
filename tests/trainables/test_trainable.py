"""What of the trainable needs no Ray to run; the rest is in test_commands.py."""

import errno
import os
import socket

import pytest

from trainables.folders import LocalFolder, StorageError
from trainables.recipe import Recipe
from trainables.stages import DenseRun, DenseStage
from trainables.trainable import StageTrainable

STAGE = DenseStage(DenseRun("digits", 0.7, "preresnet8-w0.5", Recipe(epochs=1), 1), (1,))


@pytest.fixture
def last_result(tmp_path):
    """Runs a trial here to its end, with a store that gives or raises an answer."""

    def run(answer):
        class Store:
            artifacts = LocalFolder(tmp_path)

            def is_shared(self):
                if isinstance(answer, bool):
                    return answer
                raise answer

            def record(self, *_):
                (tmp_path / "recorded").touch()

        class Trial(StageTrainable):
            def setup(self, config):
                super().setup(config, Store(), "cpu", 60.0, "")

        trial = Trial({"stage": STAGE})
        while not (result := trial.train())["done"]:
            pass
        return result

    return run


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (False, "is another folder on {}"),
        (StorageError("AWS Error ACCESS_DENIED"), "cannot be read on {} (AWS Error ACCESS_DENIED)"),
        (ValueError("s3://x cannot be used as storage"), "cannot be read on {} (s3://x cannot be used as storage)"),
    ],
)
def test_without_the_drivers_storage_nothing_is_begun(answer, said, last_result, tmp_path):
    result = last_result(answer)
    assert (result["outcome"], result["message"]) == ("unshared", said.format(socket.gethostname()))
    assert list(tmp_path.iterdir()) == []


def test_what_may_go_away_is_tunes_to_try_again(last_result):
    with pytest.raises(OSError, match="Stale file handle"):
        last_result(OSError(errno.ESTALE, os.strerror(errno.ESTALE)))


def test_with_it_the_stage_is_carried_out_and_recorded(last_result, tmp_path):
    result = last_result(True)
    assert (result["outcome"], result["message"]) == ("ok", "")
    assert (tmp_path / "recorded").exists()
