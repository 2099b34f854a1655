"""Which columns of a model's input are image and which are sound: the features' names decide, not their order."""
import tensorflow as tf

from src.models.layers import dimension

RGB_SIZE = 1024  # columns of image if no names are given; the rest is sound
_RANKS = {"rgb": 0, "mean_rgb": 0, "audio": 2, "mean_audio": 2}  # all other features count as image and have rank 1


def _rank(feature):
    return _RANKS.get(feature[0], 1)


def in_order(x, features):
    """Orders the columns of [.., columns]: image before sound.

    Args:
      features: list of (name, columns) in the order of x; None: image is before sound already.
    """
    if features is None or sorted(features, key=_rank) == features:
        return x
    parts = dict(zip(features, tf.split(x, [size for _, size in features], axis=-1)))
    return tf.concat([parts[feature] for feature in sorted(features, key=_rank)], axis=-1)


def has_image(features):
    """Whether a list of features has image; None, no list, has both."""
    return features is None or any(_rank(feature) < 2 for feature in features)


def has_sound(features):
    """Whether a list of features has sound; None, no list, has both."""
    return features is None or any(_rank(feature) == 2 for feature in features)


def split(x, features):
    """Splits what `in_order` returns into image and sound, each [.., columns], or None if it is missing."""
    width = dimension(x, -1)
    image = min(width, RGB_SIZE) if features is None else sum(each[1] for each in features if _rank(each) < 2)
    return x[..., :image] if image else None, x[..., image:] if image < width else None
