import os
import pickle

import pytest
import torch

from trainables.artifacts import load, save
from trainables.folders import LocalFolder


def test_files_come_back(tmp_path):
    folder = LocalFolder(tmp_path / "new")
    folder.write("a/b.bin", b"one")
    folder.write("a/b.bin", b"two")
    assert folder.read("a/b.bin") == b"two"
    assert folder.read("a/c.bin") is None
    assert folder.names("a", ".bin") == ["b"]
    assert folder.names("nowhere", ".bin") == []
    folder.delete("a/b.bin")
    folder.delete("a/b.bin")
    assert folder.read("a/b.bin") is None


def test_a_write_that_is_cut_off_leaves_the_old_file_and_is_not_seen(tmp_path, monkeypatch):
    folder = LocalFolder(tmp_path)
    folder.write("t/key.parquet", b"old")

    def cut_off(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", cut_off)
    with pytest.raises(KeyboardInterrupt):
        folder.write("t/key.parquet", b"new")
    monkeypatch.undo()
    assert folder.read("t/key.parquet") == b"old"
    (tmp_path / "t" / ".other.parquet.123.tmp").write_bytes(b"half")  # what kill -9 would have left
    (tmp_path / "t" / ".half.parquet").write_bytes(b"half")
    assert folder.names("t", ".parquet") == ["key"]


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
