# Shared by the scripts of this folder: where things are, and packages on demand. Source it; it changes nothing.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# need_packages LIST...: installs the Debian packages of hack/packages.txt under these headings that are missing.
need_packages() {
  local wanted missing="" p
  wanted=$(awk -v want=" $* " '/^\[/ {gsub(/[][]/, ""); on = index(want, " " $0 " "); next} on && NF && !/^#/ {print $1}' "$top/hack/packages.txt")
  for p in $wanted; do
    dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
  done
  [ -z "$missing" ] && return 0
  echo "installing:$missing" >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
  # policy-rc.d keeps packages such as containerd from starting services of their own.
  local policy=""
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
    as_root chmod 755 /usr/sbin/policy-rc.d
    policy=ours
  fi
  # shellcheck disable=SC2086
  local rc=0
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2 || rc=$?
  if [ "$policy" = ours ]; then as_root rm -f /usr/sbin/policy-rc.d; fi
  return $rc
}

# podshim makes /run/netns a mount, as ip-netns(8) does, and leaves it: somebody else may use it by then. Who has not
# had it before takes it away again, which fails where a namespace is still bound there.
remember_netns_dir() { mountpoint -q /run/netns && netns_dir=mounted || netns_dir=""; }
restore_netns_dir() { [ -n "$netns_dir" ] || as_root umount /run/netns 2>/dev/null || true; }

seconds() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(date +%s.%N)" 'BEGIN {printf "%.1f", b - a}'; }
