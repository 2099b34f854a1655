"""The forms of records, in words."""
import pytest

from src.data import forms

FRAMES = forms.Form(True, [("rgb", 1024), ("audio", 128)], 3862, 300)
VIDEOS = forms.Form(False, [("mean_rgb", 1024)], 3862, 300)


@pytest.mark.parametrize("form, holding, told", [
    (FRAMES, "", "is not a frame-level SequenceExample with id, rgb, audio: check --feature_names and "
     "--frame_features."),
    (FRAMES, "it holds id", "is not a frame-level SequenceExample with id, rgb, audio (it holds id): check "
     "--feature_names and --frame_features."),
    (VIDEOS, "", "is not a video-level Example with id and mean_rgb (1024 floats): check --feature_names, "
     "--feature_sizes and --frame_features.")])
def test_a_record_of_another_form_is_told_the_form(form, holding, told):
    assert forms.mismatch(form, holding) == told
