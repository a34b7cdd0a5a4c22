#!/usr/bin/env bash
# Any machine with SSH: copies a bundle there, sets it up, starts its runs in tmux, and says how to look and fetch.
#   config/launch/ssh.sh user@machine bundle.tar [/folder/on/it]
#   WHEN_DONE='sudo poweroff' config/launch/ssh.sh user@machine bundle.tar
# Keys are passed on if they are in this environment, and are written to no file.
set -euo pipefail
machine=${1:?user@machine} bundle=${2:?bundle.tar} folder=${3:-run}
scp "$bundle" "$machine:polychromic-bundle.tar"
ssh "$machine" "mkdir -p $folder && tar -C $folder -xf polychromic-bundle.tar && bash $folder/setup.sh"
{
  printf 'export WANDB_API_KEY=%q HF_TOKEN=%q\n' "${WANDB_API_KEY:-}" "${HF_TOKEN:-}"
  printf '. %q/env.sh\npolychromic launch configs/*.yaml --when-done %q\n' "$folder" "${WHEN_DONE:-true}"
} | ssh "$machine" bash -s
echo "look:  ssh -t $machine tmux attach"
echo "fetch: rsync -az $machine:$folder/runs/ runs/"
