#!/bin/bash
# All that has to be measured on a GPU, in at most 8 minutes of one (docs/performance.md):
#
#     benchmarks/gpu.sh [FOLDER [PART ...]]        # default: benchmarks/gpu_DATE, all parts
#     DEVICE=cpu benchmarks/gpu.sh                 # the same, tiny, to try it without a GPU
#
# Writes FOLDER/gpu.csv, a row for each measurement, and FOLDER/gpu.log. The most valuable parts come first. Each ends
# after its own time, one that fails ends no other, and rows that were written are kept when everything is cut off.
# PYTHON is the interpreter (default: that of .venv), LIMIT the seconds for everything.
here=$PWD
cd "$(dirname "$0")/.." || exit 1
device=${DEVICE:-cuda} limit=${LIMIT:-480}
folder=$(realpath -m "${1:+$here/}${1:-benchmarks/gpu_$(date +%Y-%m-%d)}")
[[ $1 == /* ]] && folder=$1
chosen=" ${*:2} "
python=${PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null || python=python3
mkdir -p "$folder/parts" "$folder/tmp" || exit 1
log=$folder/gpu.log
export TMPDIR=$folder/tmp WANDB_MODE=offline HF_HUB_OFFLINE=1
child=

collect() { "$python" -m benchmarks.joined "$folder" >>"$log" 2>&1; }

finish() {
    [ -n "$child" ] && kill "$child" 2>/dev/null && wait "$child"
    collect
    rm -rf "$folder/tmp"
    echo "$folder/gpu.csv, $log"
}
trap 'finish; exit 143' INT TERM

# part NAME SECONDS COMMAND...: run a command that writes parts/NAME.csv, for so many seconds at most
part() {
    local name=$1 seconds=$2 begun=$SECONDS left=$((limit - SECONDS)) code state
    shift 2
    [[ $chosen == "  " || $chosen == *" $name "* ]] || return
    [ "$seconds" -le "$left" ] || seconds=$left
    rm -f "$folder/parts/$name.csv" # of an earlier call in this folder
    if [ "$seconds" -lt 1 ]; then
        state="no time left"
    else
        printf '\n== %s, at most %d s: %s\n' "$name" "$seconds" "$*" >>"$log"
        timeout --kill-after=5 "$seconds" "$@" >>"$log" 2>&1 &
        child=$!
        wait "$child"
        code=$?
        child=
        case $code in
            0) state=done ;;
            124 | 137) state="cut off" ;;
            *) state="failed ($code)" ;;
        esac
    fi
    echo "$name,$state,$((SECONDS - begun)),\"${*//\"/\"\"}\"" >>"$folder/parts.csv"
    echo "$name: $state, $((SECONDS - begun)) s"
    collect
}

# measure NAME SECONDS MODULE...: a benchmark on the device, with its own rows
measure() {
    local name=$1 seconds=$2 module=$3
    shift 3
    part "$name" "$seconds" "$python" -m "benchmarks.$module" --device "$device" --output "$folder/parts/$name.csv" "$@"
}

echo "part,state,seconds,command" >"$folder/parts.csv"
echo "$0 $*" >"$log"
paper=(model=paper) alone=(logger=csv "~callbacks.quality" "~callbacks.structures" "~callbacks.summary")
relax=(callbacks=relax callbacks.relax.n_samples=8 relax.max_steps=20 relax.time_budget=10)
relax+=("callbacks.relax.cache=$folder/tmp")
if [ "$device" = cpu ]; then # sizes that take seconds
    steps=(--systems li2o_licl --batch-size 2 --rounds 1) runs=(--replicas 2 --epochs 1 --steps 2) graphs=()
    batches=(--sets li2o_licl --batches 1 2 --steps 1) seconds=2 short=2 losses=10
    studies=(--studies k --rounds 1) sizes=(--studies atoms --largest 64 --rounds 1)
    paper+=(model.channels=4 "model.generator_widths=[6,6,6]" "model.discriminator_widths=[8,8,8]" threads=1)
    relax+=(potential=pair data=li2o_licl trainer.limit_train_batches=12 callbacks.relax.n_training=1)
    rival=(plain eager) # compiling takes minutes of a core
    rivals=(data=li2o_licl data.batch_size=1 trainer.limit_train_batches=12 model.hidden=8 threads=1)
else
    steps=() runs=(--replicas 4 12) graphs=(trainer.capture=true)
    batches=() seconds=60 short=7 studies=() sizes=() losses=300
    rival=(plain compiled) rivals=(data=lsc_lco)
fi

part machine 30 "$python" -m benchmarks.machine --output "$folder/parts/machine.csv"
mapfile -t tests < <(grep -rl --include="*.py" mark.gpu tests)
part tests 60 "$python" -m pytest -q -m gpu -p no:cacheprovider "${tests[@]}"
measure cycles 70 launches "${steps[@]}"
measure replicas 45 replicas "${runs[@]}" --rounds 1 "${paper[@]}"
measure replicas_graphs 45 replicas "${runs[@]}" --rounds 1 "${paper[@]}" "${graphs[@]}"
measure potential 75 batches "${batches[@]}"
measure training 110 training --seconds $seconds experiment=lsc_lco "${paper[@]:1}" "${relax[@]}" "${alone[@]}"
measure diffcsp 30 training --seconds $short model=diffcsp "${rivals[@]}" "${alone[@]}"
measure flow 30 training --seconds $short model=flow "${rivals[@]}" "${alone[@]}"
measure distances 40 distances --rounds 3 "${studies[@]}"
measure growth 40 growth --rounds 2 "${sizes[@]}"
measure compiled 150 launches --systems interface --precisions tf32 --lambdas 0.05 --ways "${rival[@]}" "${steps[@]}"
part precision 60 "$python" -m benchmarks.precision --device "$device" --steps $losses
finish
