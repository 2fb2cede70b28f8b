import os
import pickle

import pytest
import torch

from trainables.storage.artifacts import load, save
from trainables.storage.local_folder import LocalFolder


def test_loading_never_runs_code(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    folder = LocalFolder(tmp_path)
    folder.write("planted.pt", pickle.dumps(Harmful()))
    with pytest.raises(ValueError, match=r"planted.pt is damaged or not of this service"):
        load(folder, "planted.pt")
    torch.save(Harmful(), tmp_path / "zipped.pt")
    with pytest.raises(ValueError, match=r"zipped.pt is damaged"):
        load(folder, "zipped.pt")
    assert not (tmp_path / "harm").exists()


def test_tensors_and_plain_data_come_back(tmp_path):
    content = {"seeds": [1, 2], "model": {"w": torch.arange(3)}, "error": 0.25}
    save(LocalFolder(tmp_path), "x.pt", content)
    again = load(LocalFolder(tmp_path), "x.pt")
    assert again["seeds"] == [1, 2]
    assert torch.equal(again["model"]["w"], torch.arange(3))
    assert load(LocalFolder(tmp_path), "y.pt") is None
