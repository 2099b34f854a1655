"""A warning names the reason when a GPU is present but unused."""
import pytest

from src.common import devices


class Driver(object):
    """A stand-in for libcuda.so.1 with a GPU of a compute capability."""

    def __init__(self, major, minor):
        self._values = {75: major, 76: minor}

    def cuInit(self, flags):
        return flags

    def cuDeviceGetCount(self, count):
        count._obj.value = 1
        return 0

    def cuDeviceGet(self, device, index):
        device._obj.value = index

    def cuDeviceGetAttribute(self, number, attribute, device):
        number._obj.value = self._values[attribute]


def machine(folder, gpu=True, driver="450.80.02", missing=(), capability=(7, 5)):
    """The Machine that `look` finds, given what the machine shows."""
    if gpu:
        (folder / "dev").mkdir()
        (folder / "dev" / "nvidia0").write_text("")
        (folder / "dev" / "nvidiactl").write_text("")
    if driver:
        (folder / "proc" / "driver" / "nvidia").mkdir(parents=True)
        (folder / "proc" / "driver" / "nvidia" / "version").write_text(
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  %s  Thu Sep  5\nGCC version:  gcc 7\n" % driver)

    def load(name):
        if name in missing:
            raise OSError("%s: cannot open shared object file" % name)
        return Driver(*capability)

    return devices.look(str(folder), load)


@pytest.mark.parametrize("shown, parts", [
    (dict(missing=["libcudart.so.10.0"]),
     ["TensorFlow sees none; libcudart.so.10.0 cannot be loaded", "LD_LIBRARY_PATH"]),
    (dict(missing=["libcudart.so.10.0", "libcudnn.so.7"]), ["libcudart.so.10.0, libcudnn.so.7 cannot be loaded"]),
    (dict(missing=["libcudnn.so.7"], gpu=False), ["libcudnn.so.7 cannot be loaded"]),
    (dict(missing=["libcuda.so.1"], driver=None), ["libcuda.so.1 cannot be loaded"]),
    (dict(driver="396.54"), ["its driver 396.54 is too old: install 410.48 or later"]),
    (dict(driver="410.04"), ["its driver 410.04 is too old"]),
    (dict(), ["all libraries load: check CUDA_VISIBLE_DEVICES"]),
    (dict(capability=(8, 6)), [
        "compute capability 8.6, and CUDA 10.0", "none above 7.5: set up TensorFlow 2 with 'TENSORFLOW=2 bash "
        "shell_script/setup.sh', or use NVIDIA's own build"]),
])
def test_what_keeps_tensorflow_from_the_gpu_is_named(tmp_path, shown, parts):
    sentence = devices.complaint(machine(tmp_path, **shown), usable=0)
    assert all(part in sentence for part in parts + ["docs/clusters.md"]), sentence


@pytest.mark.parametrize("shown, part", [
    (dict(driver="470.82"), "its driver 470.82 is too old: install 525.60 or later"),
    (dict(driver="550.54", missing=devices.LIBRARIES), "run 'TENSORFLOW=2 bash shell_script/setup.sh' on this machine"),
    (dict(driver=None), "check CUDA_VISIBLE_DEVICES"),
])
def test_what_keeps_tensorflow_2_from_the_gpu_is_named(tmp_path, shown, part):
    sentence = devices.complaint_2(machine(tmp_path, **shown), usable=0)
    assert "TensorFlow sees none; " in sentence and part in sentence and "CUDA 10.0" not in sentence


def test_tensorflow_2_uses_new_gpus(tmp_path):
    assert devices.complaint_2(machine(tmp_path, capability=(12, 0)), usable=1) is None
    (tmp_path / "none").mkdir()
    assert devices.complaint_2(machine(tmp_path / "none", gpu=False, driver=None), usable=0) is None


def test_a_machine_without_a_gpu_is_not_complained_about(tmp_path):
    shown = machine(tmp_path, gpu=False, driver=None, missing=devices.LIBRARIES)
    assert devices.complaint(shown, usable=0) is None


def test_a_gpu_in_use_is_complained_about_only_where_it_is_too_new(tmp_path):
    assert devices.complaint(machine(tmp_path), usable=1) is None
    (tmp_path / "other").mkdir()
    assert "8.0" in devices.complaint(machine(tmp_path / "other", capability=(8, 0)), usable=1)
