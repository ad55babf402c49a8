"""The page of `mdbench report`, as a browser shows it."""

import pytest

from mdbench.stages import report
from tests.browser.chromium import NAMES, Chromium, binary
from tests.stages.report_folder import write_run_folder

pytestmark = pytest.mark.slow

_OPEN_ALL = "document.querySelectorAll('details').forEach(each => { each.open = true })"
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return report.run([write_run_folder(tmp_path_factory.mktemp("made") / "run")]).output


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = binary()
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)}")
    with Chromium(program, tmp_path_factory.mktemp("browser")) as running:
        yield running


def complaints(browser):
    """Errors and warnings on the console."""
    told = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    return [parameters for method, parameters in browser.events if method in told]


@pytest.mark.parametrize("width", (1200, 360))
def test_nothing_is_complained_about(browser, page, width):
    browser.open(page, width)
    browser.value(_OPEN_ALL)
    assert browser.value("document.readyState") == "complete"
    assert complaints(browser) == []


def test_a_script_would_be_complained_about(browser, page, tmp_path):
    """The check above can fail: the page forbids itself scripts."""
    text = page.read_text(encoding="utf-8").replace("<main", "<script>1</script><main")
    changed = tmp_path / "index.html"
    changed.write_text(text, encoding="utf-8")
    browser.open(changed, 1200)
    browser.value("1")
    assert any("Content Security Policy" in str(found) for found in complaints(browser))


def test_links_resolve(browser, page):
    browser.open(page, 1200)
    links = browser.value("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    ids = browser.value("[...document.querySelectorAll('[id]')].map(each => each.id)")
    assert len(links) > 50
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert all(link.startswith("#") for link in links)


def test_a_link_opens_what_is_folded_up(browser, page):
    browser.open(page, 1200)
    number = "document.querySelector('#models .cited, #supplement .cited')"
    browser.value(f"{number}.click()")
    target = "document.querySelector(':target')"
    assert browser.value(f"{target}.id").startswith("file-")
    assert browser.value(f"{target}.getBoundingClientRect().height") > 0
    assert browser.value(f"{target}.checkVisibility()")


def test_figures_are_there(browser, page):
    browser.open(page, 1200)
    browser.value(_OPEN_ALL)
    sizes = browser.value("[...document.images].map(i => [i.naturalWidth, i.naturalHeight])")
    assert len(sizes) > 10
    assert all(width > 100 and height > 100 for width, height in sizes)
    shown = "[...document.images].every(i => i.getBoundingClientRect().height > 100)"
    assert browser.value(shown)
    for anchor in ("figure-3", "figure-4", "survival"):
        assert browser.value(f"document.querySelectorAll('#{anchor} img').length") > 0


@pytest.mark.parametrize("width", (1200, 360))
def test_the_page_does_not_scroll_sideways(browser, page, width):
    browser.open(page, width)
    assert browser.value(_OVERFLOW) == 0
    browser.value(_OPEN_ALL)
    assert browser.value(_OVERFLOW) == 0


def test_wide_tables_scroll_on_their_own(browser, page):
    browser.open(page, 360)
    wide = "[...document.querySelectorAll('.wide')].some(t => t.scrollWidth > t.clientWidth)"
    assert browser.value(wide)


def test_the_summary_fits_a_screen(browser, page):
    browser.open(page, 1200, 900)
    assert browser.value("document.querySelector('#summary').getBoundingClientRect().bottom") < 900


def test_the_keyboard_finds_its_way(browser, page):
    browser.open(page, 1200)
    browser.press("Tab")
    assert browser.value("document.activeElement.className") == "skip"
    assert browser.value("document.activeElement.getBoundingClientRect().left") >= 0
    browser.press("Tab")
    assert browser.value("document.activeElement.closest('nav') !== null")


def test_dark_pages_are_dark(browser, page):
    colors = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.ask("Emulation.setEmulatedMedia", features=[feature])
        browser.open(page, 1200)
        colors.append(browser.value("getComputedStyle(document.body).backgroundColor"))
    assert colors == ["rgb(255, 255, 255)", "rgb(22, 24, 28)"]
