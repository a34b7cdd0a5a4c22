#!/usr/bin/env bash
# Trains the SFT baseline and the lambda variants, each into its own run folder; attaches nothing.
#
#   ./train_polychromic_variants.sh                       Qwen3-8B, your data in data/train.jsonl
#   ./train_polychromic_variants.sh --gpus 0,1,2,3        one run on each GPU
#   ./train_polychromic_variants.sh --demo                the embedded task, on a laptop
#   ./train_polychromic_variants.sh lora.r=32             any section.key=value, for every run
#
# With tmux every GPU gets a session (all runs one after another without --gpus); without tmux they run right here.
# Run it again after an interruption: finished runs are left as they are, the others continue from a checkpoint.
#
# Hardware: one GPU with 24 GB or more (QLoRA); --demo takes two CPU cores and 3 GiB of memory.
# Duration: `polychromic plan CONFIG` says; --demo takes a few minutes.
set -euo pipefail
cd "$(dirname "$0")"

PATH="$PWD/.venv/bin:$PATH"  # this checkout's own installation first

configs=(
  config/experiments/baseline.yaml
  config/experiments/polychromic_0.3_conservative.yaml
  config/experiments/polychromic_1.0_moderate.yaml
  config/experiments/polychromic_2.0_aggressive.yaml
)
options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --demo) configs=(config/demo/*.yaml) ;;
    --gpus) options+=(--gpus "${2:?--gpus needs GPU numbers, such as 0,1}"); shift ;;
    --dry-run) options+=(--dry-run) ;;
    *.yaml) [ -n "${own:-}" ] || configs=(); own=1; configs+=("$1") ;;
    *=*) options+=(--set "$1") ;;
    -h|--help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "unknown argument: $1 (see --help)" >&2; exit 2 ;;
  esac
  shift
done

${POLYCHROMIC:-polychromic} launch "${options[@]}" "${configs[@]}"
