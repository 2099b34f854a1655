"""A bucket and a gcloud for the models' scripts."""
import glob
import json
import os
import subprocess
import sys

from tests.programs import runner

SIZES = dict(HOLDOUT_SHARDS="1", BATCH_SIZE="2", PRETRAIN_MAX_STEPS="2", PRETRAIN_EXPORT_STEPS="2",
             FINETUNE_MAX_STEPS="4", FINETUNE_EXPORT_STEPS="2")


class Workplace(object):
    """A folder as the bucket, and gcloud.py on the PATH as gcloud."""

    def __init__(self, folder):
        self.bucket, self.jobs, bin_folder = (str(folder / name) for name in ("bucket", "jobs", "bin"))
        for new in self.bucket, self.jobs, bin_folder:
            os.mkdir(new)
        write_command(os.path.join(bin_folder, "gcloud"), 'exec "%s" -E -S "%s" "$@"' % (
            sys.executable, os.path.join(os.path.dirname(__file__), "gcloud.py")))
        self._environment = dict(
            SIZES, TENSORFLOW="1", PATH=bin_folder + os.pathsep + os.environ["PATH"], GCLOUD_JOBS=self.jobs,
            BUCKET=self.bucket, HOME=str(folder))

    def run(self, script, *arguments, code=0, root=runner.PROJECT, **environment):
        """Runs a model's script from another folder; returns standard output and standard error."""
        done = subprocess.run(
            [os.path.join(root, "shell_script", script + ".sh")] + list(arguments), cwd=self.bucket,
            env=dict(self._environment, **environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True)
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr

    def submit(self, script, step, cloud, **environment):
        """Submits a step; returns its job, see gcloud.py."""
        for path in glob.glob(os.path.join(self.jobs, "*")):
            os.remove(path)
        self.run(script, step, "--on", cloud, **environment)
        (path,) = glob.glob(os.path.join(self.jobs, "*"))
        with open(path) as stream:
            return json.load(stream)


def write_command(path, text):
    with open(path, "w") as stream:
        stream.write("#!/bin/sh\n%s\n" % text)
    os.chmod(path, 0o755)
