"""Features go by their names, not by their order."""
import numpy as np
import pytest
import tensorflow as tf

from src import models
from tests.models.formulas import AUDIO
from tests.models.formulas import IMAGE
from tests.models.formulas import SMALL
from tests.models.formulas import SOUND
from tests.models.formulas import normalized
from tests.models.formulas import run_model


@pytest.mark.parametrize("name", ["BertCross", "GatedNetVLAD", "LogisticModel", "MixNeXtVLAD", "MoeModel"])
def test_the_order_of_the_features_does_not_matter(name, bert_config_file):
    frames, found = normalized([5, 5], 5), []
    for features in [IMAGE, SOUND], [SOUND, IMAGE]:
        model = models.create(
            name, features, bert_config_file=bert_config_file, bert_attention_heads=2, mix_number=2,
            video_level_classifier_model="LogisticModel" if name == "MixNeXtVLAD" else "MoeModel", **SMALL)
        rolled = frames if features[0] == IMAGE else np.roll(frames, AUDIO, axis=2)
        with tf.Graph().as_default():
            found.append(run_model(model, rolled if model.frame_level else rolled[:, 0])["predictions"])
    np.testing.assert_array_equal(*found)
