import os
from dataclasses import replace

import pytest
import torch
from points import carry_out

from trainables.models import build
from trainables.stages import DenseRun, DenseStage, Label, Point, PointStage, finish
from trainables.stages.machine import Machine, task_of
from trainables.storage.checkpoints import checkpoint_file, keep_checkpoint
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

NAME = "preresnet8-w0.5"
RECIPE = Recipe(epochs=1, batch_size=64, lr=0.05)


def model(seed=0, name=NAME):
    torch.manual_seed(seed)
    return build(name, 1, 10)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": {f"module.{name}": tensor for name, tensor in state.items()}},
        lambda state: {"net": {"state_dict": {f"_orig_mod.{name}": tensor for name, tensor in state.items()}}},
        lambda state: {"model": state, "attempt": {"training": {}}, "train": 0.1},  # as this service keeps dense models
        lambda state: {"model": "preresnet8", "net": state},
        lambda state: {
            f"_orig_mod.module.{name}": torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor
            for name, tensor in state.items()
        },
    ],
)
def test_weights_are_kept_however_they_were_saved(tmp_path, wrap):
    state = model().state_dict()
    torch.save(wrap(state), tmp_path / "mine.pt")
    folder = LocalFolder(tmp_path / "artifacts")
    name = keep_checkpoint(str(tmp_path / "mine.pt"), [model(1)], folder)
    kept = torch.load(folder.path / checkpoint_file(name), weights_only=True)
    assert kept.keys() == state.keys()
    assert all(torch.equal(kept[key], state[key]) for key in state)
    torch.save(state, tmp_path / "plain.pt")
    assert keep_checkpoint(str(tmp_path / "plain.pt"), [model(1)], folder) == name


class Evil:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def test_what_is_no_checkpoint_is_said_in_one_sentence_and_never_run(tmp_path):
    torch.save(Evil(tmp_path / "owned"), tmp_path / "evil.pt")
    torch.save(model(name="preresnet8").state_dict(), tmp_path / "wide.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    endless = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "endless.pt")
    torch.save({1: torch.zeros(2)}, tmp_path / "numbered.pt")
    torch.save({name: tensor.long() for name, tensor in model().state_dict().items()}, tmp_path / "whole.pt")
    torch.save({name: tensor.to_sparse() for name, tensor in model().state_dict().items()}, tmp_path / "sparse.pt")
    diverged = model()
    torch.nn.init.constant_(diverged.get_parameter("linear.bias"), float("nan"))
    torch.save(diverged.state_dict(), tmp_path / "diverged.pt")
    (tmp_path / "junk.pt").write_bytes(b"junk")
    for name, said in {
        "evil": "holds other things than tensors",
        "junk": "is damaged, or no file of torch.save",
        "list": "holds no state dictionary",
        "endless": "holds no state dictionary",
        "numbered": "holds no state dictionary",
        "whole": "is of another model: .*, whole numbers, in the model it is of shape .*, floats",
        "sparse": "is of another model: ",
        "wide": r"is of another model: blocks.0.conv1.weight is of shape \(16, 16, 3, 3\), floats, in",
        "diverged": "holds values that are not finite",
        "absent": "cannot be read: No such file",
    }.items():
        with pytest.raises(ValueError, match=f"checkpoint .*{name}.pt {said}"):
            keep_checkpoint(str(tmp_path / f"{name}.pt"), [model()], LocalFolder(tmp_path / "artifacts"))
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "artifacts").exists()


def test_a_users_model_is_measured_pruned_and_retrained(tmp_path):
    machine = Machine(LocalFolder(tmp_path / "artifacts"), torch.device("cpu"))
    torch.save(model(7).state_dict(), tmp_path / "mine.pt")
    name = keep_checkpoint(str(tmp_path / "mine.pt"), [model()], machine.folder)
    run = DenseRun("digits", 0.7, NAME, replace(RECIPE, epochs=0), 0, checkpoint=name)
    assert replace(run, checkpoint=None).key != run.key
    (row,) = finish(DenseStage(run, (0,)).execute(machine))["dense"]
    task = task_of(run, machine)
    stack = task.stack(NAME, 1)
    stack.load([model(7).state_dict()])
    assert row["test_error"] == task.errors(stack, "test")[0]
    point = Point(run, 0, 0.3, "magnitude-uniform", RECIPE)
    rows = carry_out(PointStage(point, (1, 2), Label("checkpoint", 1, "density", 0.3)), machine)
    assert [row["status"] for row in rows["runs"]] == ["ok", "ok"]
