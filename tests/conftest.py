"""What all tests share: Hypothesis's profile, loaded before any test module, and the bytecode."""

import profiles  # noqa: F401
import pytest
from portable import compile_all


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The folder with all portable modules as bytecode."""
    return compile_all(tmp_path_factory.mktemp("bytecode"))
