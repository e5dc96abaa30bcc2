"""What a configuration is refused with."""

import pytest
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import ConfigError


def refusals(path, content, **options):
    """Return the lines that a file of `content` is refused with, from `LINE: ` or the key on."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as refused:
        Config.from_file(path, **options)
    lines = refused.value.problems
    assert str(refused.value) == "; ".join(lines)
    assert lines == [str(fault) for fault in refused.value.faults]
    for line in lines:
        assert line.startswith((f"{path}: ", f"{path}:"))
        assert line.isprintable()
    return [line.removeprefix(f"{path}:").lstrip() for line in lines]
