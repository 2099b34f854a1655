"""What NetVLAD and NeXtVLAD share: image and sound have clusters of their own."""
import tensorflow as tf

from src.common.errors import InputError
from src.models import columns
from src.models import sampling
from src.models.frame_level import FrameLevelModel


class VLADModel(FrameLevelModel):
    """A model over the descriptors of image and of sound, or of the only one given.

    Subclasses define `clusters_hparam`, `scopes`, `describe` and `pool`.
    """

    clusters_hparam = None  # name of the hyperparameter that sets the clusters of image; sound has half as many
    scopes = None  # variable scopes of image and of sound

    def __init__(self, hparams, features=None):
        super(VLADModel, self).__init__(hparams, features)
        if columns.has_sound(features) and hparams[self.clusters_hparam] < 2:
            raise InputError("--%s=%d leaves no cluster to sound, which has half as many: give at least 2."
                             % (self.clusters_hparam, hparams[self.clusters_hparam]))

    def descriptors(self, frames, is_training, indices):
        """Describes image and sound, each in its scope, and concatenates them.

        Args:
          frames, is_training, indices: as of `pool`.

        Returns:
          [batch, descriptors].
        """
        parts = columns.split(frames, self.features)
        counts = sampling.repetitions(indices, tf.shape(frames)[1])
        described = []
        for part, scope, divisor in zip(parts, self.scopes, (1, 2)):
            if part is not None:
                with tf.compat.v1.variable_scope(scope):
                    described.append(self.describe(part, divisor, is_training, counts))
        return tf.concat(described, axis=1)

    def describe(self, part, divisor, is_training, counts):
        """Describes the frames of image or of sound.

        Args:
          part: [batch, frames, features].
          divisor: 1 for image, 2 for sound, which has half the clusters.
          is_training: a bool.
          counts: [batch, frames, 1], how often each frame counts; None: once.

        Returns:
          [batch, descriptors].
        """
        raise NotImplementedError
