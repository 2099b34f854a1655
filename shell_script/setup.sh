#!/usr/bin/env bash
# Makes .venv at the repository's root: a Python 3.7 or 3.6 with the packages of requirements.txt.
#
#   bash shell_script/setup.sh [--tests]
#
# --tests adds the packages of tests/requirements.txt. PYTHON=/path/to/python3.7 in the environment chooses
# the Python. If there is neither a Python nor pyenv, uv or conda, it installs uv, and with it Python 3.7, into .uv.
# A second run changes only what no longer fits.
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

# Prints "VERSION EXECUTABLE" if the command runs and is a Python 3.7 or 3.6 with all modules that we need: a pyenv
# shim may exist but not run, and a Python built from source may lack modules. Follows links, as the Python on the
# PATH may belong to an active virtual environment, even the one that is about to be remade.
probe() {
    "$1" -I -c '
import sys
if sys.version_info[:2] not in ((3, 7), (3, 6)):
    sys.exit("it is Python %d.%d" % tuple(sys.version_info[:2]))
try:
    import bz2, ctypes, ensurepip, os, ssl, venv
except ImportError as error:
    sys.exit("its standard library is not complete: %s" % error)
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

# Runs the uv that install_uv installed; its Pythons are beside it.
own_uv() {
    UV_PYTHON_INSTALL_DIR=$PWD/.uv/pythons .uv/packages/bin/uv "$@"
}

# Prints the Python 3.7 that uv or own_uv finds.
uv_pythons() {
    "$1" python find --system 3.7 2> /dev/null
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
    local pyenv=${PYENV_ROOT:-${HOME:-}/.pyenv}/versions
    first_usable < <(type -aP python3.7 python3.6) && return
    first_usable < <(printf '%s\n' "$pyenv"/3.7.*/bin/python "$pyenv"/3.6.*/bin/python) && return
    first_usable < <(uv_pythons own_uv) && return
    if command -v uv > /dev/null; then
        first_usable < <(uv_pythons uv) && return
        say "installing Python 3.7 with uv"
        uv tool run "uv@$uv_release" python install 3.7 >&2 && first_usable < <(uv_pythons uv) && return
    fi
    if command -v conda > /dev/null; then
        first_usable < <(conda_pythons) && return
        say "installing Python 3.7 with conda, in an environment named yt8m-python3.7"
        conda create --yes --quiet --name yt8m-python3.7 python=3.7 >&2 &&
            first_usable < <(conda_pythons) && return
    fi
    if ! command -v pyenv uv conda > /dev/null && [ ! -e "$pyenv" ]; then  # none of them
        say "installing uv, and Python 3.7 with it, into .uv"
        install_uv || return
        own_uv python install 3.7 >&2 || {
            echo "uv could not install Python 3.7 (its messages are above)"
            return 1
        }
        first_usable < <(uv_pythons own_uv) && return
        echo "the Python 3.7 that uv installed is not usable here"
    fi
    return 1
}

pip_install() {
    # --quiet twice shows errors only.
    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check "$@" ||
        fail "pip could not install the packages (its messages are above); check the network, pip's proxy" \
            "and index settings, that 3 GB of disk are free, and that this is Linux on x86-64, as" \
            "TensorFlow 1.15 needs"
}

case "$*" in
    '') requirements=(requirements.txt) ;;
    --tests) requirements=(requirements.txt tests/requirements.txt) ;;
    *) fail "unknown arguments '$*'; the only one is --tests" ;;
esac

# "VERSION EXECUTABLE" of the Python to make .venv from; empty until PYTHON names one or find_python finds one.
chosen=
if [ -n "${PYTHON:-}" ]; then
    chosen=$(probe "$PYTHON" 2>&1) ||
        fail "PYTHON=$PYTHON is not a usable Python 3.7 or 3.6: $chosen"
fi

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
# The stamp lists what is installed. It is written last: if it is missing, an installation was cut short.
stamp=.venv/setup_stamp
installed=$(cat "$stamp" 2> /dev/null) || true
current=$(probe .venv/bin/python 2> /dev/null) || true
version=${current%% *}

if [ -z "$current" ] || [ "${installed%%$'\n'*}" != "Python $version" ] ||
    { [ -n "$chosen" ] && [ "${chosen%% *}" != "$version" ]; }; then
    if [ -z "$chosen" ]; then
        chosen=$(find_python) || fail "found no usable Python 3.7 or 3.6 on the PATH or in pyenv, uv or" \
            "conda${chosen:+, and $chosen}; TensorFlow 1.15 runs on no other. Any of these installs one; then run" \
            "the command again:
    pyenv install 3.7.17
    uv tool run uv@$uv_release python install 3.7
    conda create -n yt8m python=3.7
Or name one that is elsewhere:
    export PYTHON=/path/to/python3.7"
    fi
    version=${chosen%% *}
    installed=
    say "making .venv with Python $version"
    "${chosen#* }" -m venv --clear .venv || fail "${chosen#* } could not make .venv (its messages are above)"
fi

wanted="Python $version
$(cksum "${requirements[@]}")"
# The stamp may list more than is wanted now: a run without --tests keeps the test packages.
if [ "${installed#"$wanted"}" = "$installed" ]; then
    say "installing the packages of ${requirements[*]} (some minutes the first time: 400 MB to download)"
    rm -f "$stamp"
    # The pip that comes with Python 3.6 is too old for TensorFlow's wheel; this one is the last for Python 3.6.
    pip_install --upgrade pip==21.3.1
    pip_install "${requirements[@]/#/--requirement=}"
    echo "$wanted" > "$stamp"
    say "done"
fi
