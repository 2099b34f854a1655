"""Folds: the names of their files."""
import pytest

from src.common.errors import InputError
from src.submission import folds


def test_files_are_grouped_by_model_and_ordered_by_fold():
    groups = folds.group(["a/m_fold10_oof.csv", "a/m_fold2_oof.csv", "a/m_fold2_oof_shift1.csv", "a/n.csv",
                          "a_fold1/m.csv", "a/m_fold0_oof_shift1.csv", "m_folded.csv"])
    assert list(groups.items()) == [
        ("a/m_oof.csv", ["a/m_fold2_oof.csv", "a/m_fold10_oof.csv"]),
        ("a/m_oof_shift1.csv", ["a/m_fold0_oof_shift1.csv", "a/m_fold2_oof_shift1.csv"]),
        ("a/n.csv", ["a/n.csv"]), ("a_fold1/m.csv", ["a_fold1/m.csv"]), ("m_folded.csv", ["m_folded.csv"])]


def test_folds_come_in_their_order_each_with_its_shifts_in_theirs():
    groups = folds.group_with_shifts(["m_fold1_test_shift-1.csv", "m_fold0_test.csv", "m_fold1_test.csv",
                                      "m_fold1_test_shift1.csv", "n_fold0.csv"])
    assert list(groups.items()) == [
        ("m_test.csv", ["m_fold0_test.csv", "m_fold1_test.csv", "m_fold1_test_shift1.csv",
                        "m_fold1_test_shift-1.csv"]), ("n.csv", ["n_fold0.csv"])]


def test_two_files_of_a_fold_are_refused():
    with pytest.raises(InputError, match="m_fold1.csv and m_fold01.csv are both fold 1 of one model: leave one"):
        folds.group(["m_fold1.csv", "m_fold01.csv"])
