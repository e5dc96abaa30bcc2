"""Files that are written whole, or not at all."""

import os

import pytest
from pyv_edge_agent.disk import write_whole


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
