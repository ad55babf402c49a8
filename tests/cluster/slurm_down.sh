#!/bin/bash
# slurm_down.sh DIR: cancels the jobs of the Slurm that slurm_up.sh started in DIR, and stops it.
dir=$1
export SLURM_CONF=$dir/slurm.conf

if timeout 5 scontrol ping >/dev/null 2>&1; then
  timeout 10 scancel --user="$(id -un)"
  for _ in {1..75}; do
    [ -z "$(timeout 5 squeue --noheader 2>/dev/null)" ] && break
    sleep 0.2
  done
fi

# Whether process $1 is one of the daemons of this folder, and not another that got its number.
is_ours() {
  { tr '\0' ' ' < "/proc/$1/environ"; } 2>/dev/null | grep -qF "SLURM_CONF=$dir/slurm.conf "
}

for name in slurmd-n1 slurmd-n2 slurmctld munged; do
  pid=$(cat "$dir/pid/$name" 2>/dev/null) && is_ours "$pid" || continue
  kill "$pid"
  for _ in {1..50}; do
    is_ours "$pid" || continue 2
    sleep 0.1
  done
  kill -KILL "$pid"
done
exit 0
