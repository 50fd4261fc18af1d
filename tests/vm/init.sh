#!/bin/bash
# PID 1 of the test machine: pure cgroup v2, a disk for /var/lib/podshim, then the tests of /vm/tests, one line each:
#   name|limit in seconds|command
# Results go over the serial port as VM-RESULT lines; hack/vm-test reads them.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777,size=1g tmp /tmp
mount --make-rshared /
mkdir -p /var/lib/podshim
mount -t ext4 /dev/vdb /var/lib/podshim
ln -sfn /proc/self/fd /dev/fd
hostname podshim-vm
ip link set lo up
for m in overlay veth bridge br_netfilter nf_tables nft_ct nft_nat nft_masq nft_numgen nft_fib_inet nft_reject_inet nf_conntrack_netlink; do modprobe "$m" 2>/dev/null; done
cd /tmp || exit 1
echo "VM-BOOT kernel $(uname -r) uptime $(cut -d' ' -f1 /proc/uptime) controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
# How slow this machine is, against a loop that takes about 30 ms on the build machine: waits in tests scale by it.
begin=$(date +%s%N)
i=0; while [ $i -lt 10000 ]; do i=$((i + 1)); done
factor=$(( ($(date +%s%N) - begin) / 30000000 ))
[ $factor -lt 1 ] && factor=1
export PODSHIM_SLOW=$factor PODSHIM_BIN=/vm/bin PODSHIM_CNI=/vm/cni PODSHIM_IMAGES=/vm/images
echo "VM-FACTOR $factor"
if [ "${1:-}" = shell ]; then
  setsid bash -i </dev/ttyS0 >/dev/ttyS0 2>&1
fi
while IFS='|' read -r name limit command; do
  [ -n "$name" ] || continue
  begin=$(date +%s.%N)
  timeout -k 5 "$limit" bash -c "$command" >/tmp/out 2>&1 </dev/null
  rc=$?
  [ $rc = 0 ] && grep -q '^\[  SKIPPED \]' /tmp/out && rc=77
  echo "VM-RESULT $name rc $rc seconds $(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN {printf "%.1f", b - a}')"
  if [ $rc -ne 0 ]; then tail -n "${VM_TAIL:-60}" /tmp/out | sed 's/^/VM-OUT /'; fi
done </vm/tests
dmesg 2>/dev/null | grep -E 'BUG:|Oops|WARNING: CPU|general protection' | head -5 | sed 's/^/VM-DMESG /'
echo "VM-END"
sync
echo o >/proc/sysrq-trigger
sleep 60
