"""The page in a real browser: `python -m pytest -m slow tests/report`, with Chromium, its driver and `.[browser]`."""

import json
import shutil
import time

import pytest

from tests.support.run_folders import write_sweep

WIDTHS = (390, 1600)
SECONDS = 60
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="pip install -e .[browser]")
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if None in programs:
        pytest.skip("chromium and chromedriver are not there (Debian: apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.binary_location = programs[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    from cryingan.report.report import report

    folder = tmp_path_factory.mktemp("sweep")
    write_sweep(folder)
    return report(folder)


def opened(browser, page, width=1600, scheme="light"):
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page.as_uri())
    return browser


def column(browser, name):
    """Texts of a column of the table, without the small print."""
    script = """
        const heads = [...document.querySelectorAll("#table th button")].map((one) => one.title);
        const place = heads.indexOf(arguments[0]);
        const rows = [...document.querySelectorAll("#table tbody tr")];
        return rows.map((row) => row.children[place].firstChild.textContent);
    """
    return browser.execute_script(script, name)


def click(browser, selector, text=None):
    script = """
        const found = [...document.querySelectorAll(arguments[0])];
        found.find((one) => arguments[1] === null || one.textContent.startsWith(arguments[1])).click();
    """
    browser.execute_script(script, selector, text)


def wait(browser, script):
    until = time.monotonic() + SECONDS
    while not browser.execute_script(script):
        assert time.monotonic() < until, script
        time.sleep(0.1)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_quiet_and_fits(browser, page, width, scheme):
    opened(browser, page, width, scheme)
    browser.execute_script("document.getElementById('structures').scrollIntoView()")
    wait(browser, "return document.querySelectorAll('.plot .main-svg').length > 3")
    wait(browser, "return document.querySelector('#viewer canvas') !== null")
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_the_table_sorts_filters_and_changes_its_level(browser, page):
    opened(browser, page)
    assert len(column(browser, "model")) == 4
    click(browser, "#table th button", "relaxed: F1")
    down = column(browser, "relax/f1")
    numbers = [float(text) for text in down if text != "not relaxed"]
    assert numbers == sorted(numbers, reverse=True)
    assert down[-1] == "not relaxed"
    click(browser, "#table th button", "relaxed: F1")
    assert column(browser, "relax/f1") == [*(text for text in reversed(down[:-1])), "not relaxed"] or len(set(down)) < 4
    click(browser, "#level button", "runs")
    assert len(column(browser, "folder")) == 6
    for text, count in (("lambda=0.05", 2), ("linear", 1), ("lambda=0.05 seed=2", 1), ("relax/f1>2", 0), ("raw", 1)):
        script = (
            "const f = document.getElementById('filter'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))"
        )
        browser.execute_script(script, text)
        assert len(column(browser, "model")) == count, text
    browser.execute_script(script, "")
    last = column(browser, "samples/f1")
    click(browser, "#which button", "best")
    assert all(float(best) >= float(one) for best, one in zip(column(browser, "samples/f1"), last, strict=True))


def test_the_structure_turns_and_steps(browser, page):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    opened(browser, page)
    wait(browser, "return document.querySelector('#viewer canvas') !== null")
    viewer = browser.find_element(By.ID, "viewer")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", viewer)
    time.sleep(0.5)
    before = viewer.screenshot_as_png
    ActionChains(browser).move_to_element(viewer).click_and_hold().move_by_offset(120, 30).release().perform()
    time.sleep(0.5)
    turned = viewer.screenshot_as_png
    assert turned != before
    caption = browser.find_element(By.ID, "caption").text
    click(browser, "#next")
    assert browser.find_element(By.ID, "caption").text != caption
    click(browser, "#state button", "generated")
    time.sleep(0.5)
    assert viewer.screenshot_as_png != turned


def test_a_report_without_structures_says_so(browser, tmp_path):
    from cryingan.report.report import report
    from tests.support.run_folders import config, write_run

    write_run(tmp_path / "run", config(), relaxed=False)
    opened(browser, report(tmp_path))
    assert browser.execute_script("return document.getElementById('no-structures').textContent").startswith("Nothing")
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
