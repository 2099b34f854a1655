#!/usr/bin/env bash
# Sets up, runs the tests in three processes, and lists the ten slowest. Arguments go to pytest:
#
#   bash shell_script/run_tests.sh [tests/models -k bert]
#   TENSORFLOW=2 bash shell_script/run_tests.sh [tests/models -k bert]
set -euo pipefail

unset CDPATH PYTHONPATH PYTHONHOME
shell_script=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
bash "$shell_script/setup.sh" --tests
source "$shell_script/environment.sh"
cd "$shell_script/.."
exec "$environment/bin/python" -m pytest --durations=10 -n 3 --dist loadfile "$@"
