#!/usr/bin/env bash
# Makes a virtual environment at the repository's root:
#
#   bash shell_script/setup.sh [--tests]                .venv: Python 3.7 or 3.6, packages of requirements.txt
#   TENSORFLOW=2 bash shell_script/setup.sh [--tests]   .venv-tf2: Python 3.10 to 3.13, packages of requirements-tf2.txt
#
# Without TENSORFLOW it makes .venv-tf2 where only that can work: on ARM, on macOS, and where no Python 3.7 or 3.6 can
# be had. --tests adds the packages of the tests. PYTHON=/path/to/python3.7 in the environment chooses the Python. If
# there is neither a Python nor pyenv, uv or conda, it installs uv, and a Python with it, into .uv. Where the machine
# has an NVIDIA GPU, .venv-tf2 gets CUDA, too. A second run changes only what no longer fits.
set -euo pipefail

# Modules of other installations must not leak into ours; CDPATH would misdirect the cd below.
unset PYTHONPATH PYTHONHOME CDPATH
# A pip configured for --user refuses to install into a virtual environment.
export PIP_USER=0
uv_release=0.6.0  # later ones offer no Python 3.7, though they find one that is installed

say() {
    echo "setup: $*" >&2
}

fail() {
    say "$@"
    exit 1
}

# Sets what depends on the TensorFlow. Its Pythons are in the order of preference; the first is installed where there
# is none.
set_release() {
    case $tensorflow in
        1)
            environment=.venv release="TensorFlow 1.15" megabytes=400 gigabytes=3 system="Linux on x86-64"
            pythons=(3.7 3.6) these_pythons="3.7 or 3.6" latest=3.7.17
            install_with_uv=(uv tool run "uv@$uv_release" python install 3.7)
            ;;
        2)
            environment=.venv-tf2 release="TensorFlow 2.21" megabytes=750 gigabytes=4
            system="Linux on x86-64 or ARM, or macOS on ARM"
            pythons=(3.12 3.13 3.11 3.10) these_pythons="3.10 to 3.13" latest=3.12
            install_with_uv=(uv python install 3.12)
            ;;
    esac
}

# Prints "VERSION EXECUTABLE" if the command runs and is one of the Pythons with all modules that we need: a pyenv
# shim may exist but not run, and a Python built from source may lack modules. TensorFlow has no build for Pythons
# without a global lock (3.13t). Follows links, as the Python on the PATH may belong to an active virtual environment,
# even the one that is about to be remade.
probe() {
    "$1" -I -c '
import sys
version = "%d.%d" % tuple(sys.version_info[:2])
if version not in "'"${pythons[*]}"'".split():
    sys.exit("it is Python " + version)
try:
    import bz2, ctypes, ensurepip, os, ssl, sysconfig, venv
except ImportError as error:
    sys.exit("its standard library is not complete: %s" % error)
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit("it is Python %st, without a global lock" % version)
print("%d.%d.%d" % tuple(sys.version_info[:3]), os.path.realpath(sys.executable))' < /dev/null
}

# Probes the commands on standard input, one per line, and prints the answer of the first usable one.
first_usable() {
    local candidate
    while IFS= read -r candidate; do
        if probe "$candidate" 2> /dev/null; then
            return 0
        fi
    done
    return 1
}

# Prints the Pythons on the PATH and below pyenv's folder of versions.
path_and_pyenv_pythons() {
    local python
    for python in "${pythons[@]}"; do
        type -aP "python$python" || true
        printf '%s\n' "$1/$python".*/bin/python
    done
}

# Runs the uv that install_uv installed; its Pythons are beside it.
own_uv() {
    UV_PYTHON_INSTALL_DIR=$PWD/.uv/pythons .uv/packages/bin/uv "$@"
}

# Prints the Pythons that uv or own_uv finds.
uv_pythons() {
    local python
    for python in "${pythons[@]}"; do
        "$1" python find --system "$python" 2> /dev/null || true
    done
}

conda_pythons() {
    conda env list 2> /dev/null | sed -n 's|^.* \(/.*\)$|\1/bin/python|p'
}

# Installs uv into .uv/packages, with the pip of a virtual environment or of python3; if that fails, prints why.
install_uv() {
    local pip messages
    if ! command -v python3 > /dev/null; then
        echo "there is no python3 to install uv with"
        return 1
    elif messages=$(python3 -m venv --clear .uv/venv 2>&1); then
        pip=(.uv/venv/bin/python -m pip)
    elif python3 -m pip --version &> /dev/null; then
        pip=(python3 -m pip)
    else
        echo "$messages" >&2
        echo "python3 can make no virtual environment (its messages are above) and has no pip to install uv with"
        return 1
    fi
    "${pip[@]}" install --quiet --disable-pip-version-check --upgrade --target=.uv/packages "uv==$uv_release" >&2 || {
        echo "pip could not install uv (its messages are above)"
        return 1
    }
}

# Prints "VERSION EXECUTABLE" of a usable Python, which it installs if necessary; if that fails, prints why.
find_python() {
    local pyenv=${PYENV_ROOT:-${HOME:-}/.pyenv}/versions python=${pythons[0]}
    first_usable < <(path_and_pyenv_pythons "$pyenv") && return
    first_usable < <(uv_pythons own_uv) && return
    if command -v uv > /dev/null; then
        first_usable < <(uv_pythons uv) && return
        say "installing Python $python with uv"
        "${install_with_uv[@]}" >&2 && first_usable < <(uv_pythons uv) && return
    fi
    if command -v conda > /dev/null; then
        first_usable < <(conda_pythons) && return
        say "installing Python $python with conda, in an environment named yt8m-python$python"
        conda create --yes --quiet --name "yt8m-python$python" "python=$python" >&2 &&
            first_usable < <(conda_pythons) && return
    fi
    if ! command -v pyenv uv conda > /dev/null && [ ! -e "$pyenv" ]; then  # none of them
        say "installing uv, and Python $python with it, into .uv"
        install_uv || return
        own_uv python install "$python" >&2 || {
            echo "uv could not install Python $python (its messages are above)"
            return 1
        }
        first_usable < <(uv_pythons own_uv) && return
        echo "the Python $python that uv installed is not usable here"
    fi
    return 1
}

# Goes on with TensorFlow 2 where find_python failed for 1.15 and TENSORFLOW is unset; otherwise fails. chosen is why
# there is no Python.
do_without_python() {
    local none="found no usable Python $these_pythons on the PATH or in pyenv, uv or conda${chosen:+, and $chosen}"
    none+="; $release runs on no other"
    installs+="
    pyenv install $latest
    ${install_with_uv[*]}
    conda create -n yt8m python=${pythons[0]}"
    names+="
    export TENSORFLOW=$tensorflow PYTHON=/path/to/python${pythons[0]}"
    if [ "$tensorflow" = 2 ] || [ -n "${TENSORFLOW:-}" ]; then
        fail "$none. Any of these installs one; then run the command again:$installs
Or name one that is elsewhere:$names"
    fi
    say "$none: taking TensorFlow 2"
    tensorflow=2 chosen=
    set_release
}

# Whether TensorFlow 2 can use an NVIDIA GPU here: its driver or its device is there. The builds for ARM use none.
has_gpu() {
    [ "$(uname -m)" = x86_64 ] &&
        { [ -e /proc/driver/nvidia/version ] || [ -e /dev/nvidia0 ] || nvidia-smi &> /dev/null; }
}

# Today's Dask has "dask worker" and "dask scheduler". These are the names in TensorFlow 1.15's environment, too.
name_dask_commands() {
    local what
    [ -x "$environment/bin/dask" ] || return 0
    for what in worker scheduler; do
        # shellcheck disable=SC2016  # the command expands it
        printf '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/dask" %s "$@"\n' "$what" > "$environment/bin/dask-$what"
        chmod +x "$environment/bin/dask-$what"
    done
}

pip_install() {
    # --quiet twice shows errors only.
    "$environment/bin/python" -m pip install --quiet --quiet --disable-pip-version-check "$@" ||
        fail "pip could not install the packages (its messages are above); check the network, pip's proxy" \
            "and index settings, that $gigabytes GB of disk are free, and that this is $system, as" \
            "$release needs"
}

# TensorFlow 2.21 looks for CUDA's libraries in the folders of pip's packages, but forgets cusolver's, and uses no GPU
# if it lacks one library.
link_cusolver() {
    local folder
    for folder in "$environment"/lib/python3*/site-packages/nvidia; do
        ln -sf ../../cusolver/lib/libcusolver.so.11 "$folder/cublas/lib/"
    done
}

# Says why TensorFlow 2 is taken, if the user did not choose it; only once.
explain() {
    [ -z "$why_2" ] || say "$why_2: taking TensorFlow 2"
    why_2=
}

# Whether the environment exists, whole, and is of the chosen Python. Sets version and installed, the stamp.
fits() {
    local current
    # The stamp lists what is installed. It is written last: if it is missing, an installation was cut short.
    installed=$(cat "$environment/setup_stamp" 2> /dev/null) || true
    current=$(probe "$environment/bin/python" 2> /dev/null) || true
    version=${current%% *}
    [ -n "$current" ] && [ "${installed%%$'\n'*}" = "Python $version" ] &&
        { [ -z "$chosen" ] || [ "${chosen%% *}" = "$version" ]; }
}

case "$*" in
    '') ;;
    --tests) ;;
    *) fail "unknown arguments '$*'; the only one is --tests" ;;
esac

source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/environment.sh"
set_release
installs='' names=''
# "VERSION EXECUTABLE" of the Python to make the environment from; empty until PYTHON or find_python gives one.
chosen=
if [ -n "${PYTHON:-}" ] && ! chosen=$(probe "$PYTHON" 2>&1); then
    explain
    case $tensorflow,$chosen in
        1,"it is Python 3.1"[0-3]) chosen+="; TENSORFLOW=2 takes it" ;;
    esac
    fail "PYTHON=$PYTHON is not a usable Python $these_pythons: $chosen"
fi

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
until fits; do
    if [ -z "$chosen" ] && ! chosen=$(find_python); then
        do_without_python
        continue
    fi
    version=${chosen%% *}
    installed=
    explain
    say "making $environment with Python $version"
    "${chosen#* }" -m venv --clear "$environment" ||
        fail "${chosen#* } could not make $environment (its messages are above)"
    break
done

requirements=("requirements${environment#.venv}.txt")
[ -z "$*" ] || requirements+=("tests/requirements${environment#.venv}.txt")
packages=("${requirements[@]/#/--requirement=}")
wanted="Python $version"
cuda=
# What is installed stays: machines with and without a GPU may share the environment.
if [ "$tensorflow" = 2 ] && { [[ $installed == *and-cuda* ]] || has_gpu; }; then
    cuda="tensorflow[and-cuda]" megabytes=3400 gigabytes=9
    packages+=("$cuda")
    wanted+=$'\n'$cuda
fi
wanted+=$'\n'$(cksum "${requirements[@]}")
# The stamp may list more than is wanted now: a run without --tests keeps the test packages.
if [ "${installed#"$wanted"}" = "$installed" ]; then
    explain
    say "installing the packages of ${requirements[*]} (some minutes the first time: $megabytes MB to download)"
    rm -f "$environment/setup_stamp"
    # The pip that comes with Python 3.6 is too old for TensorFlow's wheel; this one is the last for Python 3.6.
    [ "$tensorflow" = 2 ] || pip_install --upgrade pip==21.3.1
    pip_install "${packages[@]}"
    [ -z "$cuda" ] || link_cusolver
    [ "$tensorflow" = 1 ] || name_dask_commands
    echo "$wanted" > "$environment/setup_stamp"
    type ffmpeg ffprobe &> /dev/null || say "ffmpeg is not there, which extract_features.py needs to read films:" \
        "apt-get install ffmpeg, or conda install ffmpeg"
    say "done"
fi

if [ "$tensorflow" = 1 ]; then
    rm -f "$stands_in"
elif [ -z "${TENSORFLOW:-}" ]; then
    : > "$stands_in"
fi
