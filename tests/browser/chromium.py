"""A real Chromium without a window, and what its logs say."""

import json
import os
from contextlib import contextmanager

import pytest
from host.processes import find

OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--disable-background-networking",
    "--window-size=1280,1000",
)
LOADED = "Failed to load resource"  # what the browser itself says of an answer that is none


def selenium():
    """Return selenium's webdriver; skip the test without it, but not in CI."""
    try:
        from selenium import webdriver
    except ImportError:
        message = "selenium is not installed: pip install selenium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return webdriver


@contextmanager
def chromium():
    """Run a browser while the block lasts, on drivers that are here: nothing is downloaded."""
    webdriver = selenium()
    options = webdriver.ChromeOptions()
    options.binary_location = find("chromium", "/usr/bin/chromium", "/usr/bin/google-chrome")
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(find("chromedriver", "/usr/bin/chromedriver"))
    driver = webdriver.Chrome(options, service)
    try:
        driver.set_page_load_timeout(30)
        driver.set_script_timeout(30)
        yield driver
    finally:
        driver.quit()


class Logs:
    """What a browser has said and asked for, since this was made."""

    def __init__(self, driver):
        self._driver = driver
        self._errors = []
        self._urls = []
        self.forget()

    def _read(self):
        entries = self._driver.get_log("browser")
        self._errors += [one for one in entries if one["level"] == "SEVERE"]
        for entry in self._driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith("data:"):  # the browser's own icons; it goes nowhere
                    self._urls.append(url)

    @property
    def errors(self):
        """The errors of the console, as texts."""
        self._read()
        return [one["message"] for one in self._errors]

    @property
    def page_errors(self):
        """Those that are not the network's: an agent may be away."""
        self._read()
        return [
            one["message"]
            for one in self._errors
            if one["source"] != "network" or LOADED not in one["message"]
        ]

    @property
    def urls(self):
        """The URLs of all requests."""
        self._read()
        return list(self._urls)

    def forget(self):
        """Forget what was said and asked for so far."""
        self._read()
        self._errors.clear()
        self._urls.clear()
