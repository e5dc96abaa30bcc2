"""A browser for each module, and agents and boards that end with it."""

import pytest
from browser.chromium import chromium
from browser.page import Page
from browser.site import Plug, Site
from rig import make_board


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module", autouse=True)
def no_proxy():
    """A proxy of the computer that runs the tests must not see requests to loopback."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        patch.setenv("NO_PROXY", "*")
        yield


@pytest.fixture(scope="module")
def driver(no_proxy):
    with chromium() as found:
        yield found


@pytest.fixture
def open_page(driver):
    """Open pages; none of them has said an error, or asked another host for anything."""
    made = []

    def open_it(site, *, is_outage=False):
        page = Page(driver, site.url)
        made.append((page, is_outage))
        return page

    yield open_it
    for page, is_outage in made:
        strangers = [url for url in page.logs.urls if not url.startswith(page.origin + "/")]
        assert strangers == []
        assert (page.logs.page_errors if is_outage else page.logs.errors) == []
    driver.get("about:blank")  # no stream is left to an agent that is about to end


@pytest.fixture(scope="module")
def sites(module_folder):
    """Make agents that are killed at the end."""
    made = []

    def make(settings):
        site = Site(module_folder / f"agent-{len(made)}", settings)
        made.append(site)
        return site

    yield make
    for site in made:
        site.kill()


@pytest.fixture(scope="module")
def cables(module_folder):
    """Make running boards, each at the end of a cable that is plugged in; end them at the end."""
    boards, made = [], []

    def make(name, **settings):
        board = make_board(module_folder, name, **settings)
        boards.append(board)
        board.start()
        cable = Plug(board, module_folder / f"usb-{name}")
        made.append(cable)
        return cable

    yield make
    for cable in made:
        cable.pull()
    for board in boards:
        board.kill()
