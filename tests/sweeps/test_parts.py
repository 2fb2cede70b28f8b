import os
from dataclasses import replace

import pytest
from points import record

from sweeps.results import part_files as parts
from sweeps.results.store import Store
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from trainables.stages import PointStage

STAGES = replace(PRESETS["digits-epochs"], retrain_seeds=(1, 2)).points()


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path, monkeypatch):
    """A store that merges 10 parts, by their age alone."""
    monkeypatch.setattr(parts, "MERGE_AT", 10)
    monkeypatch.setattr(parts, "FEW", 3)
    monkeypatch.setattr(parts, "SETTLED_NS", -1)
    if request.param == "folder":
        return Store(tmp_path / "results")
    uri, endpoint = request.getfixturevalue("s3")
    return Store(f"{uri}/{tmp_path.name}", endpoint)


def errors_of(store):
    return {(row["point"], row["retrain_seed"]): row["test_error"] for row in store.rows("runs")}


def merged(store):
    return set(store.folder.files(".merged/runs"))


def reads(store, monkeypatch):
    """Names of the parts that are read one by one from now on."""
    names, real = [], type(store.folder).read_many

    def read_many(folder, wanted):
        names.extend(name for name in wanted if not name.startswith(".merged"))
        return real(folder, wanted)

    monkeypatch.setattr(type(store.folder), "read_many", read_many)
    return names


def test_a_part_that_is_replaced_while_it_is_read_is_not_called_damaged(store, made_up, monkeypatch):
    record(store, STAGES[0], made_up(STAGES[0]))
    before, real = errors_of(store), type(store.folder).read_many
    monkeypatch.setattr(type(store.folder), "read_many", lambda *names: [half[:-9] for half in real(*names)])
    assert errors_of(store) == before
    store.folder.write(f"runs/{STAGES[0].point.key}.parquet", b"half")
    with pytest.raises(UsageError, match="is damaged"):
        errors_of(store)


def test_many_parts_are_read_from_one_merged_copy(store, made_up, monkeypatch):
    for number, stage in enumerate(STAGES[:12]):
        record(store, stage, made_up(stage, error=number / 100))
    before = errors_of(store)
    assert len(before) == 24
    assert len(merged(store)) == 1
    names = reads(store, monkeypatch)
    assert errors_of(store) == before
    store.merge()
    assert len(merged(store)) == 1
    assert not [name for name in names if name.startswith("runs/")]
    assert store.stored(PointStage) == {stage.point.key: {1, 2} for stage in STAGES[:12]}
    wanted = [stage.point.key for stage in STAGES[:5]]
    assert set(store.table("runs", ["point"], wanted)["point"].to_pylist()) == set(wanted)
    assert not [name for name in names if name.startswith("runs/")]


def test_parts_that_changed_came_or_went_since_are_seen(store, made_up, monkeypatch):
    for stage in STAGES[:12]:
        record(store, stage, made_up(stage, error=0.1))
    store.merge()
    names = reads(store, monkeypatch)
    changed, gone, new = STAGES[0], STAGES[1], STAGES[12]
    more = replace(changed, seeds=(1, 2, 3))  # another size: a file system may tell the time by the second
    record(store, more, made_up(more, error=0.5))
    store.folder.delete(f"runs/{gone.point.key}.parquet")
    record(store, new, made_up(new, error=0.7))
    names.clear()
    found = errors_of(store)
    assert sorted(names) == sorted(f"runs/{stage.point.key}.parquet" for stage in (changed, new))
    assert {found[changed.point.key, seed] for seed in (1, 2, 3)} == {0.5}
    assert (gone.point.key, 1) not in found
    assert found[new.point.key, 1] == 0.7
    assert len(found) == 3 + 10 * 2 + 2


def test_two_that_merge_the_same_parts_count_them_once(store, made_up):
    for stage in STAGES[:12]:
        record(store, stage, made_up(stage))
    states = store._tables["runs"]._states(None)
    for _ in range(2):
        store._tables["runs"]._merge(states, store._tables["runs"]._decoded(list(states), None))
    assert len(merged(store)) == 2
    assert len(store.rows("runs")) == 24


def test_a_merged_copy_that_cannot_be_used_is_none(store, made_up):
    for stage in STAGES[:12]:
        record(store, stage, made_up(stage))
    store.merge()
    before = errors_of(store)
    (name,) = merged(store)
    whole = store.folder.read(f".merged/runs/{name}")
    for damage in (b"", b"PAR1 no", whole[:200] + bytes(200) + whole[400:]):
        store.folder.write(f".merged/runs/{name}", damage)
        assert errors_of(store) == before


def test_what_may_still_change_within_the_second_is_not_merged(tmp_path, made_up, monkeypatch):
    monkeypatch.setattr(parts, "MERGE_AT", 10)
    store = Store(tmp_path)
    for stage in STAGES[:12]:
        record(store, stage, made_up(stage))
    store.merge()
    assert not (tmp_path / ".merged").exists()
    old = [stage.point.key for stage in STAGES[:11]]
    for key in old:
        os.utime(tmp_path / "runs" / f"{key}.parquet", (1e9, 1e9))
    store.merge()
    (index,) = store._tables["runs"]._merged(store._tables["runs"]._states(None), ["status"])
    assert index[0] == set(old)


def test_a_reader_that_may_not_write_reads_all_the_same(tmp_path, made_up, monkeypatch):
    monkeypatch.setattr(parts, "MERGE_AT", 10)
    monkeypatch.setattr(parts, "SETTLED_NS", -1)
    store = Store(tmp_path)
    for stage in STAGES[:12]:
        record(store, stage, made_up(stage))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(store.folder), "write", refuse)
    assert len(store.rows("runs")) == 24


def test_what_is_not_there_is_not_deleted(store, made_up, monkeypatch):
    deleted, real = [], type(store.folder).delete
    monkeypatch.setattr(type(store.folder), "delete", lambda folder, name: deleted.append(name) or real(folder, name))
    store._tables["runs"].delete("not-there")
    assert deleted == []
    record(store, STAGES[0], made_up(STAGES[0]))
    store._tables["runs"].delete(STAGES[0].key)
    assert deleted[-1] == f"runs/{STAGES[0].key}.parquet"
    assert store.rows("runs") == []
