"""The published ensemble's numbers and names."""
import json
import os
import re

import pytest

from src.submission import published

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.mark.parametrize("path", ["bert_l2h12.csv", "a/bert_l2h12_oof.csv", "gs://b/bert_l2h12_test.csv",
                                  "bert_l2h12_oof_sorted.csv", "bert_l2h12_all3.csv"])
def test_a_models_files_bear_its_name(path):
    assert published.model_name(path) == "bert_l2h12"


def test_weights_are_those_of_the_pages_tables():
    text = ""
    for name in "README.md", os.path.join("docs", "competition.md"):
        with open(os.path.join(PROJECT, name)) as stream:
            text += stream.read()
    weights = dict(re.findall(r"^\| (\S[^|]*) \| (?:Gated|Bert|Mix)[^|]*\| [-\d.]+ \| ([\d.]+) \|", text, re.MULTILINE))
    scripts = dict(re.findall(r"^\| (\S[^|]*) \| `(\w+)\.sh` \|", text, re.MULTILINE))
    assert {scripts[name]: float(weight) for name, weight in weights.items()} == published.WEIGHTS
    assert sum(published.WEIGHTS.values()) == pytest.approx(100.2)  # the table's own rounding


@pytest.mark.parametrize("golden", ["ensemble_1", "ensemble_2"])
def test_the_fusion_has_the_originals_constants_to_the_last_digit(golden):
    with open(os.path.join(PROJECT, "tests", "golden", golden, "expected.json")) as stream:
        expected = json.load(stream)
    assert (published.TTA_W0, published.MODELS_W0) == (expected["tta_w0"], expected["w0"])
