"""The agent's live page as somebody at a browser has it: what it shows, what can be pressed."""

from datetime import datetime
from urllib.parse import urlsplit

from browser.chromium import Logs
from host.waiting import wait_for

DEADLINE_S = 40.0


class Page:
    """The page of an agent, in a tab."""

    def __init__(self, driver, url):
        parts = urlsplit(url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.driver = driver
        self.logs = Logs(driver)
        driver.get(self.origin + "/")
        # Gone as soon as the page is loaded anew, or another one is.
        self.run("window.isTheSame = true")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    @property
    def is_the_same(self):
        """Whether the page was never loaded again."""
        return self.run("return window.isTheSame === true")

    # -- what it shows -------------------------------------------------------------

    def all_data(self, selector):
        """Return the data- attributes of each element that fits, as they are at one moment."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => ({...e.dataset}))"
        return self.run(script, selector)

    def data(self, selector):
        """Return those of the first one; nothing if there is none."""
        return (self.all_data(selector) or [{}])[0]

    def texts(self, selector):
        """Return what can be read in each element that fits."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        return self.run(script, selector)

    def text(self, selector):
        return (self.texts(selector) or [""])[0]

    def is_shown(self, selector):
        script = "return document.querySelector(arguments[0])?.checkVisibility() ?? false"
        return self.run(script, selector)

    def style(self, selector, name):
        """Return a computed property of the first element that fits."""
        script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        return self.run(script, selector, name)

    @property
    def focus(self):
        """Return (id, classes, data- attributes) of the element that has the focus."""
        script = "const e = document.activeElement; return [e.id, e.className, {...e.dataset}]"
        return tuple(self.run(script))

    @property
    def live(self):
        return self.data("body").get("live")

    def channel(self, sensor):
        return self.data(channel(sensor))

    # -- waiting -------------------------------------------------------------------

    def wait(self, condition, what):
        return wait_for(condition, what, DEADLINE_S)

    def wait_live(self):
        self.wait(lambda: self.live == "live", "the page is live")

    def wait_value(self, sensor):
        """Wait until a channel has a value; return its data."""
        return self.wait(
            lambda: found if (found := self.channel(sensor)).get("value") else None,
            f"a value of {sensor}",
        )

    # -- what can be done ----------------------------------------------------------

    def click(self, selector):
        self.driver.find_element("css selector", selector).click()

    def type(self, selector, text):
        self.driver.find_element("css selector", selector).send_keys(text)

    def press(self, *names, shift=False):
        """Press keys by their name, wherever the focus is."""
        from selenium.webdriver import ActionChains, Keys

        actions = ActionChains(self.driver)
        if shift:
            actions.key_down(Keys.SHIFT)
        for name in names:
            actions.send_keys(getattr(Keys, name, name))
        if shift:
            actions.key_up(Keys.SHIFT)
        actions.perform()

    def open_chart(self, sensor):
        self.wait(lambda: self.channel(sensor), f"the button of {sensor}")
        self.click(channel(sensor))
        return self.wait_chart(sensor)

    def wait_chart(self, sensor, condition=lambda data: True):
        """Wait for a chart of a sensor that is as it should be; return its data."""
        return self.wait(
            lambda: (
                found
                if (found := self.data("#plot")).get("sensor") == sensor and condition(found)
                else None
            ),
            f"the chart of {sensor}",
        )

    def show_times(self, sensor, start_ms, end_ms):
        """Choose times, in whole seconds; return the chart's data."""
        for name, ms in (("from", start_ms), ("to", end_ms)):
            assert ms % 1000 == 0
            local = datetime.fromtimestamp(ms / 1000).isoformat()
            self.run(f"document.getElementById('{name}').value = arguments[0]", local)
        self.click("#times button")
        wanted = {"start": str(start_ms), "end": str(end_ms)}
        return self.wait_chart(sensor, lambda data: wanted.items() <= data.items())


def channel(sensor):
    """Return the selector of a channel's button."""
    return f'button.channel[data-sensor="{sensor}"]'


def device(name):
    """Return the selector of a device's card."""
    return f'article.device[data-device="{name}"]'
