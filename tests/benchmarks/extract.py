"""Seconds of video per second of extract_features.py, against decoding alone and the networks alone.

  python tests/benchmarks/extract.py [--seconds=60] [--height=720] [--small]

Networks of the published shapes with random weights, on two films of noise that the benchmark makes, H.264 and AAC at
30 frames per second. `--small`: the tests' stand-ins instead of these networks. Prints times, ratios, and memory.

  decoding           ffmpeg -f null - on one film after the other
  networks           both networks on frames and patches in memory
  extraction         the program's loop; its ratio to the sum of the two above
  with a GPU         the same with networks that sleep half as long as decoding takes; its ratio to the larger of both
  memory             of the program and of ffmpeg, at their peaks, for films of several sizes and lengths, with networks
                     that do nothing
"""
import argparse
import contextlib
import glob
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np
import tensorflow as tf

from src.features import decoding
from src.features import extractor
from src.features import ffmpeg
from src.features import log_mel
from src.features import networks
from src.features import resize
from tests.features import stand_ins

tf1 = tf.compat.v1
FILMS, RATE = 2, 30
VGGISH = [("conv1", 64), ("conv2", 128), ("conv3/conv3_1", 256), ("conv3/conv3_2", 256), ("conv4/conv4_1", 512),
          ("conv4/conv4_2", 512), ("fc1/fc1_1", 4096), ("fc1/fc1_2", 4096), ("fc2", 128)]


def inception():
    """A GraphDef of Inception-v3 with random weights, serialized; its nodes are named as in the published graph."""
    random = np.random.RandomState(0)

    def conv(net, width, size, stride=1, padding="SAME"):
        height, across = size if isinstance(size, tuple) else (size, size)
        inputs = net.shape.as_list()[-1]
        weights = random.randn(height, across, inputs, width) * np.sqrt(2.0 / (height * across * inputs))
        net = tf.nn.conv2d(net, weights.astype(np.float32), [1, stride, stride, 1], padding)
        return tf.nn.relu(tf.nn.bias_add(net, np.zeros(width, np.float32)))

    def chain(net, *layers):
        for layer in layers:
            net = conv(net, *layer)
        return net

    def smooth(net):
        return tf.nn.avg_pool2d(net, 3, 1, "SAME")

    def halve(net):
        return tf.nn.max_pool2d(net, 3, 2, "VALID")

    def fork(net, width):
        return [conv(net, width, (1, 3)), conv(net, width, (3, 1))]

    with tf.Graph().as_default() as graph:
        net = tf1.placeholder(tf.float32, [None, 299, 299, 3], "ResizeBilinear")
        net = chain((net - 128) / 128, (32, 3, 2, "VALID"), (32, 3, 1, "VALID"), (64, 3))
        net = halve(chain(halve(net), (80, 1, 1, "VALID"), (192, 3, 1, "VALID")))
        for width in 32, 64, 64:
            net = tf.concat([conv(net, 64, 1), chain(net, (48, 1), (64, 5)), chain(net, (64, 1), (96, 3), (96, 3)),
                             conv(smooth(net), width, 1)], 3)
        net = tf.concat([conv(net, 384, 3, 2, "VALID"), chain(net, (64, 1), (96, 3), (96, 3, 2, "VALID")),
                         halve(net)], 3)
        for width in 128, 160, 160, 192:
            net = tf.concat([
                conv(net, 192, 1), chain(net, (width, 1), (width, (1, 7)), (192, (7, 1))),
                chain(net, (width, 1), (width, (7, 1)), (width, (1, 7)), (width, (7, 1)), (192, (1, 7))),
                conv(smooth(net), 192, 1)], 3)
        net = tf.concat([chain(net, (192, 1), (320, 3, 2, "VALID")),
                         chain(net, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "VALID")), halve(net)], 3)
        for _ in range(2):
            net = tf.concat([conv(net, 320, 1)] + fork(conv(net, 384, 1), 384) + fork(chain(
                net, (448, 1), (384, 3)), 384) + [conv(smooth(net), 192, 1)], 3)
        tf.nn.avg_pool2d(net, 8, 1, "VALID", name="pool_3")
        return graph.as_graph_def().SerializeToString()


def write_networks(folder):
    """Replaces the stand-ins of the two networks by such of the published shapes."""
    with open(os.path.join(folder, "classify_image_graph_def.pb"), "wb") as stream:
        stream.write(inception())
    stand_ins.write_checkpoint(os.path.join(folder, "vggish_model.ckpt"), stand_ins.vggish_variables(VGGISH))


def make_film(path, seconds, height):
    """Makes a film of noise over moving bars, with a tone; returns the path."""
    stand_ins.ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=%dx%d:rate=%d:duration=%d,noise=alls=8:allf=t" % (
            height * 16 // 9 // 2 * 2, height, RATE, seconds), *stand_ins.tone(seconds, rate=44100), "-c:v", "libx264",
        "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2", path)
    return path


def extract(paths, found):
    """Extracts films with networks; writes nothing."""
    options = decoding.Options(ffmpeg.find(""))
    work = extractor.Extractor(found, options, extractor.Batching(32, 2), lambda path, features: None)
    report = work.run([extractor.Job(path, path) for path in paths])
    assert not report.failed, report.failed


def decode(paths):
    """Decodes films as fast as ffmpeg can."""
    for path in paths:
        subprocess.check_call(["ffmpeg", "-nostdin", "-loglevel", "error", "-i", path, "-f", "null", "-"])


def compute(found, seconds):
    """Runs both networks on as many seconds."""
    frames = np.random.RandomState(0).rand(32, resize.SIZE, resize.SIZE, 3).astype(np.float32)
    patches = np.random.RandomState(0).rand(32, log_mel.PATCH, log_mel.BANDS).astype(np.float32)
    for _ in range(0, seconds, 32):
        found.network["rgb"](frames)
        found.network["audio"](patches)


def sleeping(seconds_per_second):
    """Networks that sleep instead of computing."""
    def network(share):
        def run(batch):
            time.sleep(share * seconds_per_second * len(batch))
            return np.zeros((len(batch), 1), np.float32)
        return run

    return networks.Networks({"rgb": network(.87), "audio": network(.13)}, dict.fromkeys(("rgb", "audio"), np.asarray))


def timed(work, *args):
    start = time.perf_counter()
    work(*args)
    return time.perf_counter() - start


def peak_of(process):
    """The peak of a process's memory, in KB; 0 if it has ended."""
    with open("/proc/%s/status" % process) as stream:
        return next((int(line.split()[1]) for line in stream if line.startswith("VmHWM")), 0)


def watch(peaks):
    """Appends the peaks of memory of this process's children while it runs."""
    while True:
        for path in glob.glob("/proc/self/task/*/children"):
            with contextlib.suppress(OSError), open(path) as stream:
                peaks += map(peak_of, stream.read().split())
        time.sleep(.02)


def print_memory(folder, seconds, height):
    """Prints the peaks of memory for films of several sizes and lengths."""
    for each_seconds, each_height in (seconds // 4, height // 4), (seconds // 4, height), (seconds, height):
        path = make_film(os.path.join(folder, "memory.mp4"), max(each_seconds, 1), each_height // 2 * 2)
        output = subprocess.check_output([sys.executable, os.path.abspath(__file__), "--memory_of=" + path],
                                         stderr=subprocess.DEVNULL, universal_newlines=True)
        print("memory, %3d s of %4d lines: %s" % (each_seconds, each_height, output.strip()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--memory_of", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.getLogger("yt8m").setLevel(logging.ERROR)
    if args.memory_of:
        peaks = [0]
        threading.Thread(target=watch, args=(peaks,), daemon=True).start()
        extract([args.memory_of], sleeping(0))
        print("%d MB, ffmpeg %d MB" % (peak_of("self") >> 10, max(peaks) >> 10))
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        networks_dir = stand_ins.write_networks(os.path.join(folder, "networks"))
        if not args.small:
            write_networks(networks_dir)
        paths = [make_film(os.path.join(folder, "%d.mp4" % number), args.seconds // FILMS, args.height)
                 for number in range(FILMS)]
        found = stack.enter_context(networks.opened(networks_dir))
        compute(found, 1)
        decoding_alone, alone = timed(decode, paths), timed(compute, found, args.seconds)
        together = timed(extract, paths, found)
        sleep = decoding_alone / 2
        with_gpu = timed(extract, paths, sleeping(sleep / args.seconds))
        print("%-12s %6.1f s for %d s of video" % ("decoding", decoding_alone, args.seconds))
        print("%-12s %6.1f s" % ("networks", alone))
        print("%-12s %6.1f s, %.2f of their sum" % ("extraction", together, together / (decoding_alone + alone)))
        print("%-12s %6.1f s, %.2f of the larger of decoding and the networks' %.1f s" % (
            "with a GPU", with_gpu, with_gpu / max(decoding_alone, sleep), sleep))
        print_memory(folder, args.seconds, args.height)


if __name__ == "__main__":
    main()
