"""The published networks and their PCA in a folder of the user's."""
import contextlib
import logging
import typing

from src.common.errors import InputError
from src.features import network
from src.features import projection
from src.features import published
from src.features import resize
from src.features import vggish

log = logging.getLogger("yt8m")

SIZES = {"rgb": 1024, "audio": vggish.SIZE}  # features per second
ACTIVATIONS = 2048  # of Inception, before its classifier
# Batches enter the graph after its own resize: the nodes before it take a JPEG. The nodes after pool_3 reshape to one.
_NODES = ("ResizeBilinear", "pool_3")


class Networks(typing.NamedTuple):
    """A network and a projection per feature."""
    network: dict  # {rgb, audio: function from a batch to float32 [n, activations]}
    projection: dict  # {rgb, audio: projection.Projection}


@contextlib.contextmanager
def opened(folder):
    """The Networks of the files in a folder, local or gs://, until the end of the context.

    Raises:
      InputError: a file is missing, which log lines name, or is another one.
    """
    check_there(folder)
    projections = {"rgb": projection.of_images(folder, ACTIVATIONS, SIZES["rgb"]),
                   "audio": projection.of_sound(folder, SIZES["audio"])}
    graph, = published.located(folder, published.INCEPTION)
    with contextlib.ExitStack() as stack:
        images = stack.enter_context(contextlib.closing(network.frozen(
            published.read(graph), published.shown(graph), _NODES, [resize.SIZE, resize.SIZE, 3], ACTIVATIONS)))
        sound = stack.enter_context(contextlib.closing(vggish.load(folder)))
        yield Networks({"rgb": images, "audio": sound}, projections)


def check_there(folder):
    """Checks that all files are in a folder.

    Raises:
      InputError: one is missing; a log line per file says where to get it.
    """
    if not folder:
        raise InputError("--networks_dir is empty: give the folder of the published networks.")
    missing = published.missing(folder)
    for sentence in missing:
        log.info("%s", sentence)
    if missing:
        raise InputError("--networks_dir=%s lacks %d of the networks' files: download what the lines above name."
                         % (folder, len(missing)))
