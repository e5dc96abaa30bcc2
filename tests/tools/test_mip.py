"""`mpremote mip install` puts the core onto a board, or the node with it."""

import generate_package_json
from interpreter import ROOT
from virtual_rig import mpremote, played

ENCODES = "from pyv_edge_core.frame import encode; print(encode(b'x').hex())"
NAMES_SENSORS = "from pyv_edge_node.sensors import open_sensor; print(open_sensor.__name__)"


def test_packages_name_what_a_board_needs():
    for path, content in generate_package_json.packages().items():
        assert (ROOT / path).read_text(encoding="utf-8") == content, "make docs"


def test_core_alone_is_installed(tmp_path):
    with played(tmp_path / "board") as board:
        mpremote(board, "mip", "install", ROOT / "shared" / "package.json")
        assert mpremote(board, "exec", ENCODES).strip().startswith("7e78")
        refused = mpremote(board, "exec", NAMES_SENSORS, is_refused=True)
        assert "no module named 'pyv_edge_node'" in refused


def test_node_is_installed_with_the_core(tmp_path):
    with played(tmp_path / "board") as board:
        mpremote(board, "mip", "install", ROOT / "firmware" / "package.json")
        assert mpremote(board, "exec", ENCODES).strip().startswith("7e78")
        assert mpremote(board, "exec", NAMES_SENSORS) == "open_sensor\n"
