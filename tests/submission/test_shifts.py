"""Frame shifts: their order, and the names of their files."""
import pytest

from src.common.errors import InputError
from src.submission import shifts


@pytest.mark.parametrize("frames, names", [
    ([0], ["a/b_x.csv"]), ([-2], ["a/b_x.csv"]), ([-2, 0, 1], ["a/b_x_shift-2.csv", "a/b_x.csv", "a/b_x_shift1.csv"]),
    ([1, 2], ["a/b_x_shift1.csv", "a/b_x_shift2.csv"])])
def test_outputs_of_several_shifts_are_told_apart_and_recognised(frames, names):
    assert shifts.outputs("a/b_x.csv", frames) == names
    if len(frames) > 1:
        assert [shifts.split(name) for name in names] == [("a/b_x.csv", shift) for shift in frames]


def test_the_shifts_of_a_variant_are_a_model_of_their_own():
    for path, model in ("a/b.c/x.csv", "a/b.c/x_prior0.5.csv"), ("a/b.c/x", "a/b.c/x_prior0.5"), (
            "x_shift-2.csv", "x_prior0.5.csv"):
        names = shifts.outputs(path, [0, 1], "_prior0.5") if "shift" not in path else shifts.outputs(
            path, [-2], "_prior0.5")
        assert {shifts.split(name)[0] for name in names} == {model}
        assert [shifts.split(name)[1] for name in names] == ([-2] if "shift" in path else [0, 1])


def test_shifts_are_ordered_by_size_the_positive_first():
    assert shifts.order([-2, -1, 0, 1]) == [0, 1, -1, -2]
    assert shifts.order([2, -2, 10]) == [2, -2, 10]


def test_files_are_grouped_by_model():
    groups = shifts.group(["m/out_shift-2.csv", "m/out.csv", "b_oof_shift-1_sorted.csv", "m/out_shift1.csv",
                           "m_shift3/out.csv", "d//out.csv", "d//out_shift1.csv", "b_oof_sorted.csv",
                           "gs://a/x_shifted.csv"])
    assert list(groups.items()) == [
        ("m/out.csv", ["m/out.csv", "m/out_shift1.csv", "m/out_shift-2.csv"]),
        ("b_oof_sorted.csv", ["b_oof_sorted.csv", "b_oof_shift-1_sorted.csv"]),
        ("m_shift3/out.csv", ["m_shift3/out.csv"]),
        ("d//out.csv", ["d//out.csv", "d//out_shift1.csv"]),
        ("gs://a/x_shifted.csv", ["gs://a/x_shifted.csv"])]


def test_two_files_of_a_shift_are_refused():
    with pytest.raises(InputError, match="out.csv and out_shift0.csv are both shift 0 of one model"):
        shifts.group(["out.csv", "out_shift1.csv", "out_shift0.csv"])
