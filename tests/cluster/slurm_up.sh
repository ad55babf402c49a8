#!/bin/bash
# slurm_up.sh DIR PORT: a Slurm of two virtual nodes on this machine, with nothing outside of DIR.
#
# Each node has four cores and one pretended GPU. It takes the TCP ports PORT to PORT+2 of the loopback
# interface, needs root and Debian's packages slurmctld, slurmd, slurm-client and munge, and uses
# neither systemd nor cgroups. Clients need SLURM_CONF=DIR/slurm.conf and DIR/bin before their PATH.
set -euo pipefail
export PATH=$PATH:/usr/sbin
dir=$1 port=$2 host=$(uname -n)
mkdir -p "$dir"/{bin,log,pid,state,spool/n1,spool/n2}

# Jobs drop SLURM_CONF before they call srun, which would then look into /etc/slurm.
cat > "$dir/bin/srun" <<END
#!/bin/sh
SLURM_CONF='$dir/slurm.conf' exec $(command -v srun) "\$@"
END
chmod +x "$dir/bin/srun"

cat > "$dir/slurm.conf" <<END
ClusterName=mdbench
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
SlurmUser=root
StateSaveLocation=$dir/state
SlurmctldPidFile=$dir/pid/slurmctld
SlurmctldLogFile=$dir/log/slurmctld
SlurmdPidFile=$dir/pid/slurmd-%n
SlurmdLogFile=$dir/log/slurmd-%n
SlurmdSpoolDir=$dir/spool/%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/log/completed
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
# squeue remembers all jobs of a test
MinJobAge=7200
KillWait=2
ReturnToService=2
GresTypes=gpu
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=4 RealMemory=64000 Gres=gpu:pretended:1
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=4 RealMemory=64000 Gres=gpu:pretended:1
PartitionName=cpu Nodes=n1,n2 Default=YES State=UP
END
echo "NodeName=n[1-2] Name=gpu Type=pretended File=/dev/null" > "$dir/gres.conf"

export SLURM_CONF=$dir/slurm.conf
mungekey --create --keyfile="$dir/munge.key"
# --force: the folder of a test belongs to root, but may stand in one that others can write to
munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/pid/munged" \
  --log-file="$dir/log/munged" --seed-file="$dir/munge.seed"
slurmctld -c
slurmd -N n1
slurmd -N n2
for _ in {1..100}; do
  if [ "$(sinfo --noheader --Node --states=idle --format=%N 2>/dev/null | wc -l)" = 2 ]; then
    exit 0
  fi
  sleep 0.2
done
tail -n 20 "$dir"/log/* >&2
exit 1
