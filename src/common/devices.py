"""The devices that a program runs on, and why TensorFlow does not use a GPU that is present."""
import ctypes
import glob
import logging
import os
import re
import typing

import tensorflow as tf

from src.common import runtime

log = logging.getLogger("yt8m")

# The libraries that TensorFlow 1.15 loads, and the limits of CUDA 10.0.
LIBRARIES = ["libcuda.so.1", "libcudart.so.10.0", "libcublas.so.10.0", "libcufft.so.10.0", "libcurand.so.10.0",
             "libcusolver.so.10.0", "libcusparse.so.10.0", "libcudnn.so.7"]
OLDEST_DRIVER = (410, 48)
NEWEST_CAPABILITY = (7, 5)
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_..
# TensorFlow 2 is built for CUDA 12, whose libraries are packages of pip, and runs on later GPUs, too.
OLDEST_DRIVER_2 = (525, 60)
_SET_UP_2 = "'TENSORFLOW=2 bash shell_script/setup.sh'"
_REMEDY = "see 'GPUs' in docs/clusters.md"
_UNSEEN = "this machine has an NVIDIA GPU, but TensorFlow sees none; %s; %s"
_TOO_OLD = "its driver %d.%02d is too old: install %d.%d or later"


class Machine(typing.NamedTuple):
    """The NVIDIA hardware and software of a machine."""
    gpu: bool  # whether a GPU is present
    driver: tuple  # its version, or None
    missing: list  # those of LIBRARIES that do not load
    capabilities: list  # (major, minor) of each GPU that the driver reports


def look(root="/", load=ctypes.CDLL):
    """The Machine below a root folder.

    Args:
      root: the folder.
      load: function that loads a library by its name, or raises OSError.
    """
    gpu = any(glob.glob(os.path.join(root, shown)) for shown in ("proc/driver/nvidia/gpus/*", "dev/nvidia[0-9]*"))
    driver = None
    try:
        with open(os.path.join(root, "proc/driver/nvidia/version")) as stream:
            found = re.search(r"Kernel Module\D*(\d+)\.(\d+)", stream.read())
            driver = found and tuple(map(int, found.groups()))
    except OSError:
        pass
    if not gpu and not driver:
        return Machine(False, None, [], [])
    loaded = {name: _loaded(load, name) for name in LIBRARIES}
    return Machine(True, driver, [name for name in LIBRARIES if loaded[name] is None],
                   _capabilities(loaded["libcuda.so.1"]))


def _loaded(load, name):
    try:
        return load(name)
    except OSError:
        return None


def _capabilities(cuda):
    """(major, minor) of each GPU that the driver's library reports; [] without the library."""
    count = ctypes.c_int(0)
    if cuda is None or cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return []
    found = []
    for index in range(count.value):
        device, numbers = ctypes.c_int(0), [ctypes.c_int(0), ctypes.c_int(0)]
        cuda.cuDeviceGet(ctypes.byref(device), index)
        for number, attribute in zip(numbers, (_MAJOR, _MINOR)):
            cuda.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
        found.append(tuple(number.value for number in numbers))
    return found


def complaint(machine, usable):
    """A sentence about GPUs that TensorFlow does not see or CUDA 10.0 does not support, or None.

    Args:
      machine: a Machine.
      usable: number of GPUs that TensorFlow sees.
    """
    newer = [capability for capability in machine.capabilities if capability > NEWEST_CAPABILITY]
    if newer:
        return ("this machine has an NVIDIA GPU of compute capability %d.%d, and CUDA 10.0, which TensorFlow 1.15 is "
                "built for, supports none above %d.%d: set up TensorFlow 2 with %s, or use NVIDIA's own build of "
                "TensorFlow 1.15, %s" % (*newer[0], *NEWEST_CAPABILITY, _SET_UP_2, _REMEDY))
    if not machine.gpu or usable:
        return None
    if machine.driver and machine.driver < OLDEST_DRIVER:
        reason = _TOO_OLD % (machine.driver + OLDEST_DRIVER)
    elif machine.missing:
        reason = "%s cannot be loaded: install CUDA 10.0 and cuDNN 7, and name their folder in LD_LIBRARY_PATH" % (
            ", ".join(machine.missing))
    else:
        reason = "all libraries load: check CUDA_VISIBLE_DEVICES, and that tensorflow-gpu is what is installed"
    return _UNSEEN % (reason, _REMEDY)


def complaint_2(machine, usable):
    """As `complaint`, for TensorFlow 2: a sentence about GPUs that it does not see, or None."""
    if not machine.gpu or usable:
        return None
    if machine.driver and machine.driver < OLDEST_DRIVER_2:
        reason = _TOO_OLD % (machine.driver + OLDEST_DRIVER_2)
    else:
        reason = "run %s on this machine, which installs CUDA, and check CUDA_VISIBLE_DEVICES" % _SET_UP_2
    return _UNSEEN % (reason, _REMEDY)


def count_gpus(num_gpu=None):
    """Number of GPUs that TensorFlow sees; logs the devices that the program runs on, and a warning if one is unused.

    Args:
      num_gpu: number of GPUs wanted; None: one.
    """
    gpus = len(tf.config.experimental.list_physical_devices("GPU"))
    log.info("devices: %s", "%d of %d GPUs" % (min(num_gpu or 1, gpus), gpus) if gpus else "no GPU, the CPU")
    found = (complaint_2 if runtime.IS_2 else complaint)(look(), gpus)
    if found:
        log.info("WARNING: %s", found)
    return gpus
