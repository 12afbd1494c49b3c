"""The page: everything that is put in comes out, escaped, and nothing else may be loaded."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from csdm_cli.display.report_page import (
    Bar,
    Chart,
    ClassShown,
    Confusion,
    Curves,
    Facts,
    Gallery,
    Line,
    Page,
    Picture,
    Table,
    render,
)

EVIL = "</style></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x1b[31m\u202e"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


class Reader(HTMLParser):
    """Tags with their attributes, and the text outside script and style."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self._inside = [], "", ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text += data


def full(text="bee"):
    tile = Picture(PNG, f"{text}, image 1 of 2", 1)
    return Page(
        title=f"digits by {text}",
        headline=(("51.2 %", text),),
        galleries=(Gallery(text, (ClassShown(text, 1234, 2, (tile,)), ClassShown("none", 5, 0, ())), (text,)),),
        accuracy=(
            Chart(text, (Bar(text, 51.23, 2.04, own=True), Bar("random", 20.0)), text),
            Table(text, ("trained on", "tail"), ((text, "3.0"),), text),
        ),
        classes=(Chart(text, tuple(Bar(f"{text} {number}", number) for number in range(40))),),
        confusions=(Confusion(text, (text, "b"), ((0.25, 0.75), (0.0, 1.0))),),
        others=(Chart(text, (Bar(text, 3.0),)),),
        losses=(Curves(text, (Line(text, (1.0, 0.1, 0.01)),)), tile),
        facts=(Facts(text, ((text, text),)),),
        commands=((text, "csdm report"),),
    )


def test_all_parts_are_on_the_page_and_in_its_navigation():
    html = render(full())
    anchors = ["images", "accuracy", "classes", "confusion", "others", "loss", "facts", "commands"]
    assert re.findall(r'<section id="(\w+)"', html) == anchors == re.findall(r'<a href="#(\w+)"', html)
    text = Reader(html).text
    for shown in ("51.2 ± 2.0", "1,234 real, 2 stored", "no image", "digits by bee", "csdm report", "75"):
        assert shown in text
    assert html.count("data:image/png;base64," + base64.b64encode(PNG).decode()) == 2


def test_empty_parts_are_left_out():
    assert "<section" not in render(Page("nothing"))


def test_bars_are_as_long_as_their_accuracy_on_the_axis():
    chart = Chart("c", (Bar("a", 30.0, 4.0), Bar("b", 12.5)))
    html = render(Page("p", others=(chart,)))
    assert chart.top == 40
    assert 'style="width: 75.0%"' in html and 'style="width: 31.25%"' in html
    assert 'style="left: 65.0%; width: 20.0%"' in html


def test_intervals_end_where_the_axis_ends():
    html = render(Page("p", others=(Chart("c", (Bar("a", 90.0, 30.0), Bar("b", 5.0, 20.0))),)))
    assert 'style="left: 60.0%; width: 40.0%"' in html and 'style="left: 0.0%; width: 25.0%"' in html


def test_a_curve_spans_its_axis_on_a_logarithmic_scale():
    line = Line("loss", (1.0, 0.1, 0.01))
    curves = Curves("c", (line,))
    assert (curves.low, curves.high, curves.steps) == (0.01, 1.0, 3)
    assert curves.points(line) == "0.0,4.0 500.0,150.0 1000.0,296.0"


def test_what_is_no_number_on_a_logarithmic_axis_is_left_out():
    line = Line("loss", (float("inf"), 1.0, 0.0, float("nan"), 0.1))
    assert Curves("c", (line,)).points(line) == "250.0,4.0 1000.0,296.0"


def test_long_curves_are_thinned():
    line = Line("loss", tuple(1.0 + step for step in range(100_000)))
    assert len(Curves("c", (line,)).points(line).split()) == 500


def test_texts_of_strangers_are_text():
    html = render(full(EVIL))
    plain, evil = Reader(render(full())), Reader(html)
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags], "no tag began that was not ours"
    assert [sorted(attributes) for _, attributes in evil.tags] == [sorted(found) for _, found in plain.tags]
    assert "\x1b" not in html and "\u202e" not in html
    assert evil.text.count("<script>alert(1)</script>") == plain.text.count("bee")


def test_the_policy_allows_our_script_and_pictures_within_the_page_alone():
    html = render(full())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    script = re.search(r"<script>(.*)</script>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert "http://" not in html and "https://" not in html


@pytest.mark.parametrize("page", [full(), Page("p")])
def test_equal_contents_give_equal_bytes(page):
    assert render(page) == render(page)
