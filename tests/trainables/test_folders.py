import errno
import io
import os
import pickle
import resource
import time
import uuid
from typing import ClassVar

import pytest

from trainables.storage.folder import RETRY_SECONDS, is_transient
from trainables.storage.local_folder import LocalFolder
from trainables.storage.location import open_folder
from trainables.storage.remote_folder import RemoteFolder


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
    assert folder.subfolder("a").read("c/d.bin") == b"three"
    assert folder.at("a/b.bin") == f"{folder}/a/b.bin"


def test_another_content_is_another_state(folder):
    folder.write("a/b", b"one")
    before = folder.files("a")["b"]
    folder.write("a/b", b"twos")
    assert folder.files("a")["b"] != before


def test_no_name_leads_out_of_the_folder(folder):
    folder.write("a", b"")
    for name in ("../x", "b/../../x", "/etc/passwd", "a\0b"):
        for call in (folder.read, folder.delete, folder.files, folder.at, folder.subfolder):
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
    system, path = folder._system

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


@pytest.fixture
def failing(monkeypatch):
    """A function that fails with these errors of the system, one a call, before or after it does what it should."""

    def fail(module, name, numbers, after=False):
        real, left = getattr(module, name), list(numbers)

        def function(*arguments, **options):
            if not left or after:
                done = real(*arguments, **options)
            if left:
                number = left.pop(0)
                raise OSError(number, os.strerror(number))
            return done

        monkeypatch.setattr(module, name, function)
        return left

    return fail


@pytest.fixture
def slept(monkeypatch):
    """Seconds that were not waited."""
    seconds = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


CALLS = [
    (io, "open", lambda folder: folder.write("a", b"new")),
    (os, "mkdir", lambda folder: folder.subfolder("new").write("a", b"new")),
    (os, "fsync", lambda folder: folder.write("a", b"new")),
    (os, "replace", lambda folder: folder.write("a", b"new")),
    (io, "open", lambda folder: folder.read("a")),
    (os, "unlink", lambda folder: folder.delete("a")),
    (os, "scandir", lambda folder: folder.files("")),
    (os, "listdir", lambda folder: folder.contents()),
]


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EBUSY, errno.ENOTCONN])
@pytest.mark.parametrize(("module", "name", "call"), CALLS)
def test_what_fails_for_a_while_on_a_shared_folder_is_tried_again_in_a_sweep(
    module, name, call, number, failing, slept, tmp_path, monkeypatch
):
    monkeypatch.setattr(LocalFolder, "patient", True)
    folder, undisturbed = LocalFolder(tmp_path / "a"), LocalFolder(tmp_path / "b")
    for each in (folder, undisturbed):
        each.write("a", b"old")
    left = failing(module, name, [number, number])
    said = call(folder)
    assert left == []
    assert slept == [1, 2]
    if name == "scandir":
        assert said.keys() == call(undisturbed).keys() == {"a"}
    else:
        assert said == call(undisturbed)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def tree(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(("module", "name", "call"), CALLS)
@pytest.mark.parametrize(
    ("number", "patient", "waited"),
    [
        (errno.ENOSPC, True, []),
        (errno.EACCES, True, []),
        (errno.EDQUOT, True, []),
        (errno.EROFS, True, []),
        (errno.ESTALE, False, []),
        (errno.ESTALE, True, list(RETRY_SECONDS)),
    ],
)
def test_what_does_not_go_away_is_said_and_nothing_is_left_behind(
    module, name, call, number, patient, waited, failing, slept, tmp_path, monkeypatch
):
    monkeypatch.setattr(LocalFolder, "patient", patient)
    folder = LocalFolder(tmp_path)
    folder.write("a", b"old")
    failing(module, name, [number] * (len(waited) + 1))
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        call(folder)
    assert caught.value.errno == number
    assert slept == waited
    assert tree(tmp_path) == {"a": b"old"}


def test_a_write_that_is_done_although_it_is_said_to_have_failed_is_done_again(failing, slept, tmp_path):
    """As a server of files may answer that lost its own answer."""
    folder = LocalFolder(tmp_path)
    folder.patient = True
    failing(os, "replace", [errno.EIO], after=True)
    folder.write("a", b"new")
    assert tree(tmp_path) == {"a": b"new"}
    failing(os, "unlink", [errno.EIO], after=True)
    folder.delete("a")
    assert tree(tmp_path) == {}
    assert slept == [1, 1]


def test_files_that_this_process_has_open_are_waited_for(tmp_path, monkeypatch):
    """A real error of the system: it gives no more files."""
    folder = LocalFolder(tmp_path)
    folder.write("a", b"one")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr("time.sleep", lambda seconds: resource.setrlimit(resource.RLIMIT_NOFILE, limits))
    for folder.patient in (False, True):
        with open(os.devnull) as lowest:
            free = lowest.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            if folder.patient:
                assert folder.read("a") == b"one"
            else:
                with pytest.raises(OSError, match="Too many open files"):
                    folder.read("a")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_message_counts_only_where_there_is_no_number():
    assert is_transient(OSError("AWS Error SLOW_DOWN during PutObject"))
    assert not is_transient(PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/results/UNAVAILABLE"))
    assert not is_transient(FileNotFoundError(errno.ENOENT, "AWS Error UNKNOWN (HTTP status 503)"))


def test_what_object_storage_says_is_the_error_alone(s3):
    """Without a number of the system, which would decide whether it passes."""
    folder = open_folder("s3://no-such-bucket/path", s3[1])
    with pytest.raises(OSError, match=r"^When uploading object") as caught:
        folder.write("a", b"")
    assert not is_transient(caught.value)
    assert "NO_SUCH_BUCKET" in caught.value.strerror
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


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


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_an_error_in_one_line():
    with pytest.raises(OSError, match="NETWORK_CONNECTION") as caught:
        open_folder("s3://bucket/path", "http://127.0.0.1:1").read("a")
    assert "\n" not in str(caught.value)
