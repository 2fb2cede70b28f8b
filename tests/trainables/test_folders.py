import os
import pickle
import time
import uuid
from typing import ClassVar

import pytest

from trainables.folders import LocalFolder, RemoteFolder, open_folder


@pytest.fixture(params=["local", "s3", "other"])
def folder(request, tmp_path):
    """A folder of each kind; "other" is a file system of pyarrow where files are renamed."""
    if request.param == "local":
        return open_folder(tmp_path / "new")
    if request.param == "s3":
        uri, endpoint = request.getfixturevalue("s3")
        return open_folder(f"{uri}/{uuid.uuid4().hex}", endpoint)
    folder = RemoteFolder(f"file://{tmp_path}/new")
    assert folder._system[0].type_name == "local"
    return folder


def test_files_come_back(folder):
    folder.write("a/b.bin", b"one")
    folder.write("a/b.bin", b"two")
    assert folder.read("a/b.bin") == b"two"
    assert folder.read("a/c.bin") is None
    assert folder.read_many(["a/c.bin", "a/b.bin"]) == [None, b"two"]
    folder.delete("a/b.bin")
    folder.delete("a/b.bin")
    assert folder.read("a/b.bin") is None


def test_listing_sees_whole_files_alone(folder):
    assert folder.contents() == []
    assert folder.files("a") == {}
    folder.write("a/b.bin", b"one")
    folder.write("a/c/d.bin", b"three")
    folder.write("a/.half.bin", b"half")
    folder.write(".hidden/e.bin", b"")
    assert {name: size for name, (size, _) in folder.files("a").items()} == {"b.bin": 3, "c/d.bin": 5}
    assert set(folder.files(".hidden")) == {"e.bin"}
    assert folder.names("a", ".bin") == ["b"]
    assert folder.names("nowhere", ".bin") == []
    assert sorted(name for name in folder.contents() if name[0] != ".") == ["a"]
    assert folder.below("a").read("c/d.bin") == b"three"
    assert folder.at("a/b.bin") == f"{folder}/a/b.bin"


def test_another_content_is_another_state(folder):
    folder.write("a/b", b"one")
    before = folder.files("a")["b"]
    folder.write("a/b", b"twos")
    assert folder.files("a")["b"] != before


def test_no_name_leads_out_of_the_folder(folder):
    folder.write("a", b"")
    for name in ("../x", "b/../../x", "/etc/passwd", "a\0b"):
        for call in (folder.read, folder.delete, folder.files, folder.at, folder.below):
            with pytest.raises(ValueError, match="is not a name inside a folder"):
                call(name)
        with pytest.raises(ValueError, match="is not a name inside a folder"):
            folder.write(name, b"")


def test_a_folder_travels_to_other_processes(folder):
    folder.write("a", b"one")
    again = pickle.loads(pickle.dumps(folder))
    assert again.read("a") == b"one"
    assert str(again) == str(folder)
    assert b"AWS" not in pickle.dumps(folder)


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
    for left in (".key.parquet.123.tmp", ".other.parquet.123.tmp", ".half.parquet"):  # as kill -9 would leave them
        (tmp_path / "t" / left).write_bytes(b"half")
    assert folder.names("t", ".parquet") == ["key"]
    (tmp_path / "t" / ".key.parquet.456.tmp").write_bytes(b"half")  # of a process that is writing it
    os.utime(tmp_path / "t" / ".key.parquet.123.tmp", (0, time.time() - 2 * 3600))
    folder.delete("t/key.parquet")
    assert sorted(os.listdir(tmp_path / "t")) == [".half.parquet", ".key.parquet.456.tmp", ".other.parquet.123.tmp"]


def test_a_file_that_is_replaced_while_it_is_read_comes_whole(s3):
    """S3 is asked for its size first, and for so many bytes then."""
    uri, endpoint = s3
    folder = open_folder(f"{uri}/replaced", endpoint)
    system, path = folder.arrow()

    class Replacing:
        contents: ClassVar = []

        def open_input_file(self, name):
            file = system.open_input_file(name)
            if self.contents:
                folder.write("a", self.contents.pop())
            return file

        def __getattr__(self, name):
            return getattr(system, name)

    folder.write("a", b"first")
    folder.__dict__["_system"] = Replacing(), path
    for content in (b"longer than the first", b"short"):
        Replacing.contents.append(content)
        assert folder.read("a") == content


def test_what_fails_while_the_storage_cannot_be_reached_is_tried_again_in_a_sweep(s3, monkeypatch):
    uri, endpoint = s3
    folder = open_folder(f"{uri}/retried", endpoint)
    failures, slept = [], []
    real = RemoteFolder._put

    def put(*arguments):
        if failures:
            raise failures.pop()
        return real(*arguments)

    monkeypatch.setattr(RemoteFolder, "_put", put)
    monkeypatch.setattr("time.sleep", slept.append)
    for message in ("AWS Error NETWORK_CONNECTION during PutObject", "AWS Error UNKNOWN (HTTP status 503)"):
        failures.append(OSError(message))
        with pytest.raises(OSError, match=r"NETWORK|503"):
            folder.write("a", b"one")
    folder.patient = True
    failures.extend([OSError("AWS Error NETWORK_CONNECTION"), OSError("AWS Error UNKNOWN (HTTP status 429)")])
    pickle.loads(pickle.dumps(folder)).write("a", b"one")
    assert folder.read("a") == b"one"
    assert slept == [1, 2]
    failures.append(OSError("AWS Error ACCESS_DENIED"))
    with pytest.raises(OSError, match="ACCESS_DENIED"):
        folder.write("a", b"two")
    failures.extend(OSError("AWS Error NETWORK_CONNECTION") for _ in range(6))
    with pytest.raises(OSError, match="NETWORK_CONNECTION"):
        folder.write("a", b"two")


@pytest.mark.parametrize(
    ("location", "endpoint", "said"),
    [
        ("s3://bucket", "http://127.0.0.1:1", "names no folder"),
        ("s3:///path", "http://127.0.0.1:1", "names no folder"),
        ("ftp://host/path", None, "cannot be used as storage"),
        ("s3://buck et/path", "http://127.0.0.1:1", "cannot be used as storage"),
        ("s3://bucket/path#part", "http://127.0.0.1:1", "has no # in its name"),
        ("S3://key:secret@bucket/path", None, "credentials belong into the environment"),
        ("abfs://container:secret@account.dfs.core.windows.net/path", None, "credentials belong into the environment"),
        ("s3://bucket/path", "127.0.0.1:9000", "write http://host:port"),
        ("file://host/path", None, "names another machine"),
        ("s3://bucket/path?nonsense=1", "http://127.0.0.1:1", "cannot be used as storage"),
        ("gs://bucket/path", "http://127.0.0.1:1", "has no storage endpoint"),
        ("results", "http://127.0.0.1:1", "is a folder, which has no storage endpoint"),
    ],
)
def test_what_is_no_place_is_said(location, endpoint, said):
    with pytest.raises(ValueError, match=said) as caught:
        open_folder(location, endpoint)
    assert "secret" not in str(caught.value)


def test_a_file_uri_is_a_folder(tmp_path):
    assert str(open_folder(f"file://{tmp_path}/with%20space")) == f"{tmp_path}/with space"


def test_a_server_that_does_not_answer_is_an_error_in_one_line():
    with pytest.raises(OSError, match="NETWORK_CONNECTION") as caught:
        open_folder("s3://bucket/path", "http://127.0.0.1:1").read("a")
    assert "\n" not in str(caught.value)
