"""Lists in json: images, annotations, and categories where they tell apart."""

from __future__ import annotations

import json

import pytest

from csdm_cli.data.sources.annotations import read_annotations
from csdm_cli.errors import CsdmError

IMAGES = [{"id": 7, "file_name": "a/1.jpg"}, {"id": 3, "file_name": "a/2.jpg"}, {"id": 9, "file_name": "none.jpg"}]
PAIRS = [{"image_id": 3, "category_id": 20}, {"image_id": 7, "category_id": 10}]
CATEGORIES = [{"id": 10, "name": "cat"}, {"id": 20, "name": "dog"}]


def read(**parts) -> list[tuple[str, str]]:
    return read_annotations(json.dumps({"images": IMAGES, "annotations": PAIRS} | parts), "list.json")


def test_annotated_images_have_the_names_of_their_categories():
    assert read(categories=CATEGORIES) == [("a/2.jpg", "dog"), ("a/1.jpg", "cat")]


def test_numbers_where_names_do_not_tell_categories_apart():
    assert read() == [("a/2.jpg", "20"), ("a/1.jpg", "10")]
    assert read(categories=[{"id": 10, "name": "cat"}, {"id": 20, "name": "cat"}]) == read()


def test_two_annotations_of_one_image_may_agree():
    assert read(annotations=[*PAIRS, PAIRS[0]]) == read()
    with pytest.raises(CsdmError, match=r"list\.json: a/1\.jpg is 10 and 20"):
        read(annotations=[*PAIRS, {"image_id": 7, "category_id": 20}])


def test_what_is_not_listed_is_named_with_its_row():
    with pytest.raises(CsdmError, match="annotation 1 is of image 8"):
        read(annotations=[PAIRS[0], {"image_id": 8, "category_id": 10}])
    with pytest.raises(CsdmError, match="annotation 0 is of category 20"):
        read(categories=CATEGORIES[:1])


@pytest.mark.parametrize("text", ["", "[]", "3", '{"images": []}', '{"images": [3], "annotations": []}', "[" * 9999])
def test_another_file_is_told_what_a_list_needs(text):
    with pytest.raises(CsdmError, match=r"list\.json .* file_name"):
        read_annotations(text, "list.json")


LISTED = '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": %s, "category_id": %s}]}'


@pytest.mark.parametrize("text", [LISTED % ("[1]", "2"), LISTED % ("1", "[2]"), LISTED % ("1", '{"a": 2}')])
def test_a_list_in_the_place_of_a_number_is_no_such_list(text):
    with pytest.raises(CsdmError, match=r"list\.json .* file_name"):
        read_annotations(text, "list.json")
