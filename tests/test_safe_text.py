"""Text of strangers on a screen, in a picture, in file names, Markdown and markup."""

import json
import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csdm_cli.safe_text import (
    counted,
    file_name,
    in_picture,
    json_in_markdown,
    markdown,
    markup,
    meant,
    shown,
    shown_lines,
)

ANY = st.text(st.characters(), max_size=300)  # surrogates included


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b]0;PWN\x07\x1b[31m", r"\x1b]0;PWN\x07\x1b[31m"),
        ("a\nb\r\tc\0", r"a\nb\r\tc\x00"),
        ("\x9b31m", r"\x9b31m"),  # the one-byte form of ESC [
        ("\u202eevil\u2066", r"\u202eevil\u2066"),  # right-to-left override, isolate
        ("a\u2028b", r"a\u2028b"),
        ("\ud800", r"\ud800"),
        (os.fsdecode(b"\xe9.png"), r"\xe9.png"),
        ("\U000e0041", r"\U000e0041"),  # an invisible tag
        ("日本 ü é 👩‍🚀", "日本 ü é 👩‍🚀"),
        (r"C:\data", r"C:\data"),
        (7, "7"),
    ],
)
def test_what_cannot_be_seen_is_escaped_and_the_rest_is_left(text, expected):
    assert shown(text) == expected


def test_a_long_text_is_cut():
    assert shown("x" * 300, most=10) == "x" * 9 + "…"
    assert shown("x" * 10, most=10) == "x" * 10


@given(ANY)
def test_a_shown_text_is_one_line_that_can_be_encoded_and_is_stable(text):
    once = shown(text)
    assert len(once.splitlines()) <= 1 and once.encode("utf-8") and "\x1b" not in once if text else once == ""
    assert shown(once, most=len(once) + 1) == once


def test_lines_of_our_own_stay_lines():
    assert shown_lines("one\x1b\ntwo\r") == "one\\x1b\ntwo\\r"
    assert shown_lines("x" * 3000) == "x" * 3000


@given(ANY)
def test_rich_gives_back_the_shown_text_within_markup(text):
    from rich.text import Text

    found = Text.from_markup(f"[b]{markup(text)}[/b]")
    assert found.plain.replace("\\", "") == shown(text).replace("\\", "")  # rich drops some backslashes before [
    assert [str(span.style) for span in found.spans] == ["bold"]


def test_markdown_begins_nothing():
    assert markdown("a|b\n# h") == r"a\|b\n# h".replace(r"\n", r"\\n", 1)
    assert markdown("*x* _y_ a_b [z](u) <b> `c`") == r"\*x\* \_y\_ a_b \[z\](u) \<b\> \`c\`"


@given(st.dictionaries(ANY, ANY | st.integers() | st.none(), max_size=5))
def test_json_in_markdown_is_the_same_value_and_neither_code_nor_html(value):
    text = json_in_markdown(value, indent=1)
    assert json.loads(text) == value and not set(text) & set("`<>&")


def test_json_in_markdown_is_yaml():
    from ruamel.yaml import YAML

    title = "<script>alert(1)</script> & `x`\n---"
    assert YAML(typ="safe").load(f"title: {json_in_markdown(title)}\n") == {"title": title}


def test_dollars_are_dollars_in_a_picture():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    label = figure.text(0, 0, in_picture("$\\frac{$ \0\n\ud800"))
    figure.canvas.draw()
    assert label._preprocess_math(label.get_text()) == (r"$\frac{$ \x00\n\ud800", False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat", "cat"),
        ("../../etc", "_._.._etc"),
        (".git", "_git"),
        ("--out", "_-out"),
        ("a/b:c\\d", "a_b_c_d"),
        ("a\0b\nc\x1b", "a_b_c_"),
        ("nul", "nul_"),
        ("COM1.png", "COM1.png_"),
        ("end. .", "end"),
        ("", "_"),
        ("..", "_"),
        ("e\u0301", "é"),
        ("日" * 100, "日" * 33),
    ],
)
def test_file_names(text, expected):
    assert file_name(text) == expected


@given(ANY)
def test_every_text_gives_a_name_that_can_be_made(text):
    name = file_name(text)
    assert 0 < len(name.encode("utf-8")) <= 101
    assert name not in (".", "..") and not set(name) & set('/\\:*?"<>|\0\n\x1b')
    assert unicodedata.is_normalized("NFC", name)


def test_what_is_counted_is_one_or_several():
    assert [counted(count, "image") for count in (0, 1, 2, 2000)] == ["0 images", "1 image", "2 images", "2,000 images"]
    assert [counted(count, "class", "classes") for count in (1, 3)] == ["1 class", "3 classes"]


def test_what_was_meant_is_asked_only_where_something_looks_like_it():
    assert meant("digit", ["cifar10", "digits"]) == "did you mean digits?"
    assert meant("cifar1", (name for name in ("cifar10", "cifar100", "digits")), most=2) == (
        "did you mean cifar10 or cifar100?"
    )
    assert meant("nosuch", ["digits"]) == meant("digit", []) == ""
