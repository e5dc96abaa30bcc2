"""Files that are written whole, or not at all."""

import os

import pytest
from pyv_edge_agent.disk import write_whole, writing_whole


def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    link = tmp_path / "stdout"
    link.symlink_to(pipe)
    for path in (pipe, link, tmp_path):
        with pytest.raises(OSError, match="is no file"):
            write_whole(path, b"x")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["pipe", "stdout"]


def test_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "f"
    for content in (b"one", b"two"):
        write_whole(path, content, 0o600)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_that_write_one_file_at_once_write_one_whole_file_each(tmp_path):
    path = tmp_path / "f"
    (tmp_path / "f.new").write_bytes(b"somebody's own")
    with writing_whole(path) as first, writing_whole(path) as second:
        for file, content in ((first, b"1"), (second, b"2")) * 100:
            file.write(content)
        assert not path.exists()
    assert path.read_bytes() == b"1" * 100  # which was closed last
    assert (tmp_path / "f.new").read_bytes() == b"somebody's own"
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_left_of_what_was_not_finished(tmp_path):
    def write():
        with writing_whole(tmp_path / "f") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not list(tmp_path.iterdir())
