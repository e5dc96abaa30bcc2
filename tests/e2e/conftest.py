import pytest
from rig import AgentProcess, Receiver, make_board


@pytest.fixture
def receiver(tmp_path):
    found = Receiver(tmp_path)
    yield found
    found.close()


@pytest.fixture
def boards(tmp_path):
    """Make boards that are unplugged at the end."""
    made = []

    def make(name, **settings):
        board = make_board(tmp_path, name, **settings)
        made.append(board)
        return board

    yield make
    for board in made:
        board.kill()


@pytest.fixture
def agents(tmp_path):
    """Make agents that are killed at the end, if they still run."""
    made = []

    def make(settings):
        agent = AgentProcess(tmp_path / f"agent-{len(made)}", settings)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        if agent.process is not None and agent.process.poll() is None:
            agent.kill()
