#!/usr/bin/env bash
# All that needs a GPU, in under nine minutes: speed and memory at FLUX.1-dev's size (one step, 24 steps with 10 and with
# all routed, eager and compiled), a profile of one routed step, what probes cost, the tests marked `gpu`.
#
#   benchmarks/gpu.sh [FOLDER]         results in FOLDER, else in $OUT, else in out/gpu; it goes on where it was stopped
#   benchmarks/gpu.sh --dry [FOLDER]   the same at tiny sizes on a CPU, to try the script
#   benchmarks/gpu.sh --wheels         fetch into .wheels/ what a machine with torch and transformers lacks, for one
#                                      that nothing can be fetched on (WHEELS_PYTHON: its version of Python, 3.12)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${PYTHON:-python3}
MISSING=(diffusers importlib-metadata pydantic pydantic-core annotated-types typing-inspection)

if [ "${1:-}" = --wheels ]; then
    platforms=()
    for n in 2_28 2_27 2_17; do platforms+=(--platform "manylinux_${n}_x86_64"); done
    pins=()
    for name in "${MISSING[@]}"; do
        pins+=("$(grep -iE "^${name//-/[-_]}==" constraints.txt || echo "$name")")
    done
    exec "$PYTHON" -m pip download --quiet --no-deps --only-binary=:all: --python-version "${WHEELS_PYTHON:-3.12}" \
        --implementation cp "${platforms[@]}" --platform manylinux2014_x86_64 --dest .wheels "${pins[@]}"
fi

DRY=()
[ "${1:-}" = --dry ] && { DRY=(--dry); shift; }
FOLDER=${1:-${OUT:-out/gpu}}
mkdir -p "$FOLDER"
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1

if [ -d .wheels ] && ! "$PYTHON" -c 'import diffusers, pydantic' 2> /dev/null; then
    SITE=$(mktemp -d)
    trap 'rm -rf "$SITE"' EXIT
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$SITE" .wheels/*.whl || exit 1
    export PYTHONPATH=$PYTHONPATH:$SITE
fi

failed=0
# A name, seconds, and a command; what it prints is kept, and the others go on if it fails.
step() {
    local name=$1 most=$2 begun=$SECONDS
    shift 2
    timeout --kill-after=10 "$most" "$@" > >(tee "$FOLDER/$name.txt") 2>&1
    local code=$?
    [ "$code" = 0 ] || failed=1
    echo "$name: $((SECONDS - begun)) s, exit $code" | tee -a "$FOLDER/summary.txt"
}

: > "$FOLDER/summary.txt"
{ date -u; nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2> /dev/null || echo "no GPU"
  "$PYTHON" -c 'import diffusers, torch; print("torch", torch.__version__, "diffusers", diffusers.__version__)'
} | tee -a "$FOLDER/summary.txt"
if [ ${#DRY[@]} = 0 ]; then
    step tests 100 "$PYTHON" -m pytest -q -m gpu tests/injection/test_kernels.py tests/injection/test_gpu.py
    step speed 380 "$PYTHON" -m benchmarks.speed.gpu_series "$FOLDER" --within 350
    step probes 50 "$PYTHON" -m benchmarks.probes --size wide --device cuda --repeats 3
else
    step tests 300 env STRATA_GPU_DRY=1 "$PYTHON" -m pytest -q -m gpu -k "not compiled" tests/injection/test_gpu.py
    step speed 300 "$PYTHON" -m benchmarks.speed.gpu_series "$FOLDER" --dry
    step probes 300 "$PYTHON" -m benchmarks.probes --pixels 64 --steps 2 --repeats 1
fi
exit "$failed"
