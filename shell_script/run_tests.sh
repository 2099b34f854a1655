#!/usr/bin/env bash
# Sets up, runs the tests with one process per core, and lists the ten slowest. Arguments go to pytest:
#
#   bash shell_script/run_tests.sh [tests/models -k bert]
set -euo pipefail

unset CDPATH PYTHONPATH PYTHONHOME
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
bash "$root/shell_script/setup.sh" --tests
cd "$root"
exec .venv/bin/python -m pytest --durations=10 -n auto --maxprocesses=4 --dist loadfile "$@"
