"""The page in a real browser: it runs, the console stays silent, nothing is fetched, no model can script it."""

import json
import shutil
from collections import Counter
from html.parser import HTMLParser

import pytest

from polychromic.analysis.record import CompareSettings
from polychromic.analysis.resampling import Plan
from polychromic.reporting import view
from polychromic.reporting.page import write_report
from polychromic.stages import compare
from tests.browser import ABSENT, CHROMIUM, browse

pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason=ABSENT)]

EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">${alert(1)}"


class Tags(HTMLParser):
    """Counts the elements that are really there."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def handle_starttag(self, tag, attributes):
        self.seen[tag] += 1


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    copy = tmp_path_factory.mktemp("report")
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return write_report(copy)


def driven(page, script):
    """A copy of the page that runs ``script`` after everything else, within the page's own policy."""
    copy = page.with_name("driven.html")
    copy.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
    return copy


def test_no_console_message_and_no_request(page, tmp_path):
    script = "document.title = JSON.stringify(performance.getEntriesByType('resource').map((entry) => entry.name));"
    html, console = browse(driven(page, script), tmp_path, "--dump-dom")
    assert console == []
    assert "<title>[]</title>" in html
    assert html.count('class="prompt"') == 15
    assert html.count('class="strip"') == 15 * 4


def test_prompts_open_tables_sort_and_filters_filter(page, tmp_path):
    script = """
      const prompt = document.querySelector("details.prompt");
      prompt.open = true;
      const heads = [...document.querySelectorAll("#all-differences th button")];
      const head = heads.find((button) => button.textContent === "difference");
      head.click();
      const cells = () => [...document.querySelectorAll("#all-differences tbody tr")].filter((row) => !row.hidden);
      const falling = cells().map((row) => Number(row.cells[6].dataset.value));
      const filter = document.querySelector("[data-filter]");
      filter.value = "pass@1 aggressive";
      filter.dispatchEvent(new Event("input"));
      const left = cells().length;
      document.getElementById("search").value = "test-0007";
      document.getElementById("search").dispatchEvent(new Event("input"));
      requestAnimationFrame(() => setTimeout(() => {
        const found = document.getElementById("found").textContent;
        document.getElementById("search").value = "";
        const shown = ["some", "none"].map((kind) => {
          document.getElementById("which").value = kind;
          document.getElementById("which").dispatchEvent(new Event("change"));
          return Number.parseInt(document.getElementById("found").textContent);
        });
        document.title = JSON.stringify({ shown,
          sorted: falling.every((value, i) => i === 0 || value <= falling[i - 1]), left,
          found, samples: prompt.querySelectorAll(".sample").length });
      }, 50));
    """
    html, console = browse(driven(page, script), tmp_path, "--dump-dom")
    assert console == []
    said = json.loads(html.split("<title>")[1].split("</title>")[0])
    assert said["sorted"]
    assert said["left"] == 2 * 2 * 3  # pass@1 and pass@16, against two models, at three temperatures
    assert said["found"] == "1 prompts"
    assert said["samples"] > 4
    passed = Counter()
    for line in (page.parent / "verdicts.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["temperature"] == 1.0:
            passed[row["prompt_id"], row["model"]] += row["status"] == "passed"
    models = {prompt: [count > 0 for (of, _), count in passed.items() if of == prompt] for prompt, _ in passed}
    assert said["shown"] == [
        sum(any(each) and not all(each) for each in models.values()),
        sum(not any(each) for each in models.values()),
    ]
    assert said["shown"][0] > 0


def test_model_text_cannot_script_the_page(make_folder, tmp_path):
    evil = make_folder(tmp_path / "evil", {"sft": (0.3, 2), EVIL: (0.3, 4)}, (1.0,), prompts=25, text=EVIL)
    compare.run(evil, "sft", None, CompareSettings("sft", plan=Plan(resamples=200)))
    page = write_report(evil)
    assert EVIL not in page.read_text()
    script = "document.querySelector('details.prompt').open = true;"
    (tmp_path / "profile").mkdir()
    html, console = browse(driven(page, script), tmp_path / "profile", "--dump-dom")
    assert console == []
    assert "<title>sft and its variants</title>" in html
    tags = Tags()
    tags.feed(html)
    assert tags.seen["img"] == 0
    assert tags.seen["script"] == 3  # the data, the page's own, the one that opened the prompt


def test_a_watched_run_draws_its_curves_anew_and_no_name_scripts_the_list(viewed, tmp_path, monkeypatch):
    site, root = viewed.site, viewed.site.root
    html, console = browse(viewed.url, tmp_path / "list", "--dump-dom")
    tags = Tags()
    tags.feed(html)
    assert (console, tags.seen["img"], tags.seen["script"]) == ([], 0, 1)
    asked = []
    real = site.page

    def growing(path, at=()):
        """Another number is logged between two looks."""
        page = real(path, at)
        if path == "/curves":
            asked.append(at)
            with (root / "a run" / "metrics.jsonl").open("a") as log:
                log.write(json.dumps({"step": 100 * len(asked), "loss": 0.1}) + "\n")
        return page

    monkeypatch.setattr(site, "page", growing)
    html, console = browse(
        f"{viewed.url}run?at={view.address('a run')}", tmp_path / "run", "--dump-dom", "--virtual-time-budget=8000"
    )
    assert console == []
    assert len(asked) > 1
    assert html.count("<polyline") == 1
    assert "step 100<" in html or "step 200<" in html
    assert "<title>a run</title>" in html


@pytest.mark.parametrize(("width", "theme"), [(1280, 1), (390, 1), (390, 0)])
def test_page_fits_its_window(page, tmp_path, width, theme):
    """Nothing but what scrolls by itself reaches over the edge; the browser's own window is never below 500 pixels."""
    script = f"""
      document.body.style.width = "{width}px";
      const clipped = (each) => each && (getComputedStyle(each).overflowX !== "visible" || clipped(each.parentElement));
      const all = [...document.querySelectorAll("body *")];
      const own = all.filter((each) => !each.closest("svg *") && !clipped(each.parentElement));
      const right = Math.max(...own.map((each) => each.getBoundingClientRect().right));
      document.title = Math.round(right) + " " + {width};
    """
    flags = ("--dump-dom", f"--window-size={max(width, 500)},900", f"--blink-settings=preferredColorScheme={theme}")
    html, console = browse(driven(page, script), tmp_path, *flags)
    assert console == []
    content, window = map(int, html.split("<title>")[1].split("</title>")[0].split())
    assert content <= window
