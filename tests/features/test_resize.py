"""Frames are resized as by the Inception graph."""
import numpy as np
import pytest
import tensorflow as tf

from src.features import resize


@pytest.mark.parametrize("size", [(36, 64), (240, 320), (299, 299), (720, 1280), (1080, 1920), (1, 1), (300, 2),
                                  (361, 641)], ids=str)
def test_each_bit_is_that_of_tensorflow(size):
    frame = np.random.RandomState(size[0]).randint(0, 256, size + (3,)).astype(np.uint8)
    resized = tf.compat.v1.image.resize_bilinear(frame[np.newaxis].astype(np.float32), [299, 299])
    with tf.compat.v1.Session() as session:
        np.testing.assert_array_equal(resize.resize(frame), session.run(resized)[0])
