"""Replaces the gcloud command: checks a job's submission as gcloud does and writes the job to a JSON file.

  GCLOUD_JOBS=folder python gcloud.py ai custom-jobs create --region=us-central1 ..

Anything that gcloud's documentation does not list is an error. The file holds the module, the arguments, the machines
that the service would start and, for Vertex AI, the software in the container that gcloud would build.
"""
import argparse
import json
import os
import re
import sys

GCLOUD_WIDE = ["account", "format", "project", "quiet", "verbosity"]
AI_PLATFORM = GCLOUD_WIDE + [
    "async", "config", "job-dir", "labels", "master-accelerator", "master-image-uri", "master-machine-type",
    "module-name", "package-path", "packages", "parameter-server-accelerator", "parameter-server-count",
    "parameter-server-image-uri", "parameter-server-machine-type", "python-version", "region", "runtime-version",
    "scale-tier", "service-account", "staging-bucket", "stream-logs", "worker-accelerator", "worker-count",
    "worker-image-uri", "worker-machine-type"]
VERTEX = GCLOUD_WIDE + [
    "args", "command", "config", "display-name", "enable-dashboard-access", "enable-web-access", "labels", "network",
    "python-package-uris", "region", "service-account", "worker-pool-spec"]
MACHINE_KEYS = {"machine-type", "replica-count", "accelerator-type", "accelerator-count"}
POOL_KEYS = MACHINE_KEYS | {"container-image-uri", "executor-image-uri", "output-image-uri", "python-module", "script",
                            "local-package-path", "requirements", "extra-packages", "extra-dirs"}


def parse(words, known):
    """The positional words, and {flag: [values]}."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("positional", nargs="*")
    for name in known:
        parser.add_argument("--" + name, action="append", default=[])
    parsed = vars(parser.parse_args(words))
    return parsed.pop("positional"), {name: values for name, values in parsed.items() if values}


def split_list(value):
    """A list as gcloud reads it (`gcloud topic escaping`): a,b or ^|^a|b."""
    escaped = re.match(r"\^([^^]+)\^", value)
    return value[escaped.end():].split(escaped.group(1)) if escaped else value.split(",")


def check_module(package_path, module):
    """Checks that the package holds the module, in a package of its own."""
    path = os.path.join(package_path, *module.split("."))
    assert os.path.isfile(path + ".py"), "no module %s in %s" % (module, package_path)
    assert os.path.isfile(os.path.join(os.path.dirname(path), "__init__.py")), "%s is in no package" % module


def ai_platform(words):
    end = words.index("--")
    (job,), flags = parse(words[:end], AI_PLATFORM)
    assert re.match(r"[A-Za-z][A-Za-z0-9_]*$", job), "%s is no job name" % job
    for name in "package_path", "module_name", "staging_bucket", "region":
        assert len(flags.get(name, [])) == 1, "--%s is needed, once" % name
    check_module(os.path.dirname(os.path.abspath(flags["package_path"][0])), flags["module_name"][0])
    with open(flags["config"][0]) as stream:
        config = dict(re.findall(r'^  (\w+): "?([^"\n]+)"?$', stream.read(), re.MULTILINE))
    assert config["scaleTier"] == "CUSTOM" and config["masterType"] and config["runtimeVersion"] == "1.15"
    machines = {name: values[0] for name, values in flags.items()
                if name.startswith(("master_machine", "worker", "parameter"))}
    return {"module": flags["module_name"][0], "args": words[end + 1:], "machines": machines}


def vertex(words):
    positional, flags = parse(words, VERTEX)
    assert not positional, "unexpected %s" % positional
    for name in "region", "display_name", "args":
        assert len(flags.get(name, [])) == 1, "--%s is needed, once" % name
    pools = [dict(part.split("=", 1) for part in pool.split(",")) for pool in flags["worker_pool_spec"]]
    assert set(pools[0]) <= POOL_KEYS, "unknown %s" % sorted(set(pools[0]) - POOL_KEYS)
    assert pools[0]["replica-count"] == "1" and pools[0]["executor-image-uri"]
    for pool in pools[1:]:
        assert set(pool) <= MACHINE_KEYS, "only the first pool says what runs: %s" % pool
    check_module(pools[0]["local-package-path"], pools[0]["python-module"])
    # gcloud installs the folder's requirements.txt, then each of the other requirements.
    with open(os.path.join(pools[0]["local-package-path"], "requirements.txt")) as stream:
        requirements = [stream.read()] + pools[0].get("requirements", "").split(";")
    return {"module": pools[0]["python-module"], "args": split_list(flags["args"][0]),
            "software": [pools[0]["executor-image-uri"]] + requirements,
            "machines": [{key: value for key, value in pool.items() if key in MACHINE_KEYS} for pool in pools]}


def main(words):
    if words[:2] == ["storage", "cp"]:
        assert all(os.path.isfile(path) for path in words[2:-1]) and words[-1].startswith("gs://")
        return
    if words[:4] == ["ai-platform", "jobs", "submit", "training"]:
        job = ai_platform(words[4:])
    else:
        assert words[:3] == ["ai", "custom-jobs", "create"], "unknown command %s" % words
        job = vertex(words[3:])
    folder = os.environ["GCLOUD_JOBS"]
    with open(os.path.join(folder, "%d.json" % len(os.listdir(folder))), "w") as stream:
        json.dump(job, stream)


if __name__ == "__main__":
    main(sys.argv[1:])
