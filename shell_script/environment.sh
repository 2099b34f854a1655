# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts. Sets tensorflow, which is 1 (TensorFlow 1.15) or 2, and environment, the virtual
# environment that setup.sh makes for it at the repository's root.
#
# TENSORFLOW=1 or TENSORFLOW=2 chooses. Unset means 1, or 2 where TensorFlow 1.15 cannot run; why_2 then says why.

why_2=
# setup.sh leaves this file where it found no Python for TensorFlow 1.15. A Python that the user names may be one.
stands_in=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.venv-tf2/stands_in
case ${TENSORFLOW:-} in
  1 | 2) tensorflow=$TENSORFLOW ;;
  '')
    case $(uname -s),$(uname -m) in
      Darwin,*) why_2="tensorflow-gpu 1.15 has no build for macOS" ;;
      *,aarch64 | *,arm*) why_2="tensorflow-gpu 1.15 has no build for ARM" ;;
      *) [ -n "${PYTHON:-}" ] || [ ! -e "$stands_in" ] || why_2="there was no Python for TensorFlow 1.15" ;;
    esac
    tensorflow=1
    [ -z "$why_2" ] || tensorflow=2
    ;;
  *)
    echo "$(basename "$0" .sh): TENSORFLOW=$TENSORFLOW is unknown: choose 1 (TensorFlow 1.15) or 2" >&2
    exit 1
    ;;
esac
environment=.venv
[ "$tensorflow" = 1 ] || environment=.venv-tf2
