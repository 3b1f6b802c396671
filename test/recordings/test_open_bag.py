"""Recordings whose recorder was killed, or that were mended."""

import shutil
import sqlite3

import pytest

from cls_vla_ros.recordings.open_bag import is_bag, open_bag


def messages(bag) -> int:
    reader = open_bag(bag)
    try:
        return sum(1 for _ in reader.messages())
    finally:
        reader.close()


@pytest.fixture
def bag(make_bag):
    return make_bag(frames=4).path


def edit_metadata(bag, old: str, new: str) -> None:
    file = bag / "metadata.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize("nothing", ['""', "''"])
def test_a_storage_that_reindex_left_empty_is_known_by_the_files_name(bag, nothing):
    whole = messages(bag)
    edit_metadata(bag, "storage_identifier: mcap", f"storage_identifier: {nothing}")
    assert messages(bag) == whole > 0


def test_without_metadata_it_is_read_all_the_same(bag):
    whole = messages(bag)
    (bag / "metadata.yaml").unlink()
    assert is_bag(bag)
    assert messages(bag) == whole


@pytest.mark.parametrize("has_metadata", [True, False])
def test_a_file_that_was_cut_off_says_how_it_is_mended(bag, has_metadata):
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    if not has_metadata:
        (bag / "metadata.yaml").unlink()
    with pytest.raises(ValueError, match=rf"cannot be read: .* `ros2 bag reindex {bag}`.*mcap"):
        open_bag(bag)


def test_a_database_that_was_cut_off_says_so_too(tmp_path):
    bag = tmp_path / "bag"
    bag.mkdir()
    with sqlite3.connect(bag / "bag_0.db3") as database:
        database.execute("CREATE TABLE messages(id INTEGER)")
    with pytest.raises(ValueError, match="ros2 bag reindex"):
        open_bag(bag)


@pytest.mark.parametrize(
    "metadata", ["", "rosbag2_bagfile_information: {version: many}", "a: [", "\x00"]
)
def test_broken_metadata_says_how_they_are_mended(bag, metadata):
    (bag / "metadata.yaml").write_text(metadata)
    with pytest.raises(ValueError, match="ros2 bag reindex"):
        open_bag(bag)


def test_a_file_that_is_gone_is_named(bag):
    for file in bag.glob("*.mcap"):
        file.unlink()
    with pytest.raises(ValueError, match="files are missing"):
        open_bag(bag)


def test_a_folder_with_neither_is_no_recording(bag):
    shutil.rmtree(bag)
    bag.mkdir()
    assert not is_bag(bag)
    with pytest.raises(FileNotFoundError, match=r"no metadata\.yaml, and no file of \.mcap"):
        open_bag(bag)
