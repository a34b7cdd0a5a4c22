#!/usr/bin/env bash
# Compares three trained models in one report: the SFT baseline, the moderate and the aggressive variant.
#
#   ./evaluate_three_models.sh                      prompts from data/eval.jsonl (diversity only: nobody can judge them)
#   TASK=functions18 ./evaluate_three_models.sh     a task with a checker: pass@k and distinct-and-correct@k too
#   ./evaluate_three_models.sh --demo               the embedded task, on a laptop
#   ./evaluate_three_models.sh --n 32               any option of `polychromic evaluate`
#
# Run it again after an interruption: only what is missing is done. A larger --n extends the samples that exist.
#
# Hardware: the GPU the models were trained on; --demo takes two CPU cores. The base is loaded once, adapters swapped.
# Duration: grows with prompts x n x temperatures; the progress bars show the time left. --demo takes a few minutes.
set -euo pipefail
cd "$(dirname "$0")"

PATH="$PWD/.venv/bin:$PATH"  # this checkout's own installation first

RUNS=${RUNS:-runs}
models="baseline=$RUNS/baseline,moderate=$RUNS/polychromic_1.0_moderate,aggressive=$RUNS/polychromic_2.0_aggressive"
options=(--config config/experiments/baseline.yaml --baseline baseline --out "${OUT:-$RUNS/evaluation}")
TASK=${TASK:-'{kind: conversations, path: data/eval.jsonl}'}
options+=(--task "$TASK")

case "${1:-}" in
  --demo)
    shift
    RUNS=${RUNS%/demo}/demo
    models="sft=$RUNS/sft,online=$RUNS/online,harvest=$RUNS/harvest"
    options=(--config config/demo/sft.yaml --baseline sft --out "${OUT:-$RUNS/three-models}")
    ;;
  -h|--help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac

${POLYCHROMIC:-polychromic} evaluate --models "$models" "${options[@]}" "$@"
