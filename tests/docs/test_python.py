"""Every snippet of docs/python.md and every example of the door's functions runs, and none of them prints unasked."""

from __future__ import annotations

import doctest
import linecache
import re
from pathlib import Path

import pytest

import csdm_cli

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
FUNCTIONS = ("make_long_tail", "train_teachers", "distill", "evaluate", "load")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_page_s_snippets_run_one_after_another(capfd):
    code = "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL))
    # as a notebook does, so that the source of a class can be read
    linecache.cache["<page>"] = (len(code), None, code.splitlines(keepends=True), "<page>")
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(code, "<page>", "exec"), names)
    told = capfd.readouterr()
    assert told.err == "" and len(told.out.splitlines()) == 1 + len(names["found"].rows())
    teacher, student = names["own"].spec, names["seen"].task.spec
    assert teacher.name == student.name == "python:Small" and teacher.source == student.source
    assert len(names["images"]) == len(names["labels"]) == len(names["dataset"]) == 10 * 4


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_s_example_is_true(name, capfd):
    function = getattr(csdm_cli, name)
    (example,) = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0
    assert capfd.readouterr() == ("", "")
