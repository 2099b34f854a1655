#!/usr/bin/env bash
# Sets up, runs the tests with one process more than there are cores, at most four, and lists the ten slowest.
# Arguments go to pytest:
#
#   bash shell_script/run_tests.sh [tests/models -k bert]
#   TENSORFLOW=2 bash shell_script/run_tests.sh [tests/models -k bert]
set -euo pipefail

unset CDPATH PYTHONPATH PYTHONHOME
shell_script=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
bash "$shell_script/setup.sh" --tests
source "$shell_script/environment.sh"
cd "$shell_script/.."
cores=$(getconf _NPROCESSORS_ONLN)  # a test often waits for a program that it has started
exec "$environment/bin/python" -m pytest --durations=10 -n $((cores < 4 ? cores + 1 : 4)) --dist loadfile "$@"
