"""Which columns of a model's input are image and which are sound: by the features' names, not by their places."""
import tensorflow as tf

RGB_SIZE = 1024  # columns of image where no names are given; the rest is sound
_PLACES = {"rgb": 0, "mean_rgb": 0, "audio": 2, "mean_audio": 2}  # of other features, which count as image: 1


def _place(feature):
    return _PLACES.get(feature[0], 1)


def in_order(x, features):
    """The columns of [.., columns] with image before sound.

    Args:
      features: list of (name, columns) as they come; None: they are in order.
    """
    if features is None or sorted(features, key=_place) == features:
        return x
    parts = dict(zip(features, tf.split(x, [size for _, size in features], axis=-1)))
    return tf.concat([parts[feature] for feature in sorted(features, key=_place)], axis=-1)


def has_image(features):
    """Whether image is among a list of features; None: it is."""
    return features is None or any(_place(feature) < 2 for feature in features)


def has_sound(features):
    """Whether sound is among a list of features; None: it is."""
    return features is None or any(_place(feature) == 2 for feature in features)


def split(x, features):
    """Image and sound, [.., columns] each, of what `in_order` returns; None for what there is not."""
    width = x.shape[-1].value
    image = min(width, RGB_SIZE) if features is None else sum(each[1] for each in features if _place(each) < 2)
    return x[..., :image] if image else None, x[..., image:] if image < width else None
