# Sourced by .ci/run and .ci/full: a scratch folder, virtual environments, steps that report at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Cold caches and no window: a run says the same on a used machine as on a new one.
export TIERINGMODEL_CACHE_DIR=$scratch/kernels IPYTHONDIR=$scratch/ipython MPLBACKEND=Agg
export PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYDEVD_DISABLE_FILE_VALIDATION=1
unset NUMBA_CACHE_DIR PYTHONPATH PYTEST_ADDOPTS

base_python=${PYTHON:-python3}
failed=()

# step NAME COMMAND…: run it, say how long it took, remember whether it failed.
step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    if "$@"; then
        printf -- '-- %s: ok, %d s\n' "$name" $((SECONDS - start))
    else
        printf -- '-- %s: FAILED, %d s\n' "$name" $((SECONDS - start))
        failed+=("$name")
    fi
}

# finish: exit 1 and name what failed, if anything did.
finish() {
    if ((${#failed[@]})); then
        printf 'failed steps: %s\n' "${failed[*]}" >&2
        exit 1
    fi
}

# venv DIR [PYTHON]: a new virtual environment.
venv() {
    local python=${2:-$base_python}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
    "$python" -m venv "$1"
}

# pins: the versions of requirements.lock as pip constraints, without hashes (pip refuses those beside a local project).
pins() {
    sed -nE 's/^([a-z0-9][^\\]*==[^\\]*[^\\ ]) *\\?$/\1/p' requirements.lock
}
