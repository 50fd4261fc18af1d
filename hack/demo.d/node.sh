# The node of hack/demo: its directory, programs, config, and the end of it all. Sourced by hack/demo; sets no trap itself.

began=$(seconds)
bin=${PODSHIM_BIN:-$top/build/release/bin} # as the tests have it: a build elsewhere
dir=$(mktemp -d /var/tmp/podshim-demo.XXXXXX)
chmod 755 "$dir"
mkdir -p "$dir"/{net.d,log,services}
failed=""
declare -A pid=() # by name: programs, and the processes that hold namespaces

say() { printf '%6s s  %s\n' "$(since "$began")" "$*"; }
step() { printf '\n%6s s  \033[1m%s\033[0m\n' "$(since "$began")" "$*"; }
die() {
  echo "FAILED: $*" >&2
  echo "logs: $dir/log" >&2
  failed=1
  for f in "$dir"/log/*.log; do echo "--- the end of $f"; tail -15 "$f"; done >&2
  exit 1
}
podlet() { "$bin/podlet" --state "$dir/podlet" "$@"; }
wait_for() { # wait_for SECONDS WHAT COMMAND...
  local end what=$2
  end=$((SECONDS + $1))
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || die "$what: not within its time"
    sleep 0.05
  done
}
tally() { sort | uniq -c | awk '{printf "         %-28s %3d\n", $2, $1}'; }
# What the kernel has acknowledged, not what was asked for.
in_vip() { jq -r --arg s "default/${1:-hello}" '.services[$s].endpoints[]?[]?' "$dir/netproxy-status.json"; }
endpoints_are() { [ "$(in_vip "${2:-hello}" | wc -l)" = "$1" ]; } # endpoints_are N [SERVICE]
ready() { # ready SELECTOR N
  podlet get pods -l "$1" -o json |
    jq -e --argjson n "$2" '[.items[] | select(any(.status.conditions[]?; .type == "Ready" and .status == "True"))] | length == $n'
}
pod_of() { podlet get pods -l "$1" -o json | jq -r '.items[0].metadata.name'; }   # pod_of SELECTOR
service() { podlet get services "$1" -o json | jq -r "$2"; }                      # service NAME JQ-PATH

# ---- namespaces beside the node ----
namespace() { # namespace NAME: a network namespace that lives as long as a sleeping process
  local own
  own=$(readlink /proc/self/ns/net)
  setsid unshare -n -- sleep infinity </dev/null >/dev/null 2>&1 &
  pid[$1]=$!
  until [ "$(readlink "/proc/${pid[$1]}/ns/net")" != "$own" ]; do sleep 0.01; done
  in_ns "$1" ip link set lo up
}
in_ns() { nsenter -t "${pid[$1]}" -n -- "${@:2}"; } # in_ns NAME COMMAND...

# ---- programs ----
sysctls="net/ipv4/ip_forward net/bridge/bridge-nf-call-iptables net/ipv4/conf/all/route_localnet"
declare -A before=()
for s in $sysctls; do [ -e "/proc/sys/$s" ] && before[$s]=$(cat "/proc/sys/$s"); done

cat >"$dir/config.yaml" <<YAML
cluster-cidr: 10.42.0.0/16
service-cidr: 10.43.0.0/16
cluster-dns: 10.43.0.10
podshim:
  root: $dir/root
  state: $dir/state
  socket: $dir/podshim.sock
  cni-conf-dir: $dir/net.d
  cni-bin-dirs: [${PODSHIM_CNI:-$top/build/release/cni}]
  log-max-bytes: 10485760
netproxy:
  source: $dir/services
podlet:
  runtime-endpoint: unix://$dir/podshim.sock
  state: $dir/podlet
  services-dir: $dir/services
  load-balancer-pool: 203.0.113.0/28
YAML
start() { # start NAME ARGS...
  "$bin/$1" --config "$dir/config.yaml" "${@:2}" >"$dir/log/$1.log" 2>&1 </dev/null &
  pid[$1]=$!
}
start_node() {
  "$bin/podshim" --config "$dir/config.yaml" cni-config >"$dir/net.d/10-podshim.conflist" || die "podshim cni-config"
  start podshim
  wait_for 10 "podshim serves" "$bin/podshim" --socket "$dir/podshim.sock" status
  say "podshim serves CRI on $dir/podshim.sock"
  local images=${PODSHIM_IMAGES:-build/images}
  "$bin/podshim" --socket "$dir/podshim.sock" image import $images/busybox.tar $images/probe.tar $images/client.tar || die "image import"
  start netproxy --status-file "$dir/netproxy-status.json"
  start podlet up "$top/examples/hello" --netproxy-status "$dir/netproxy-status.json"
  wait_for 10 "podlet answers" podlet get pods
}

stop() { # stop NAME: SIGTERM, then wait; SIGKILL after 10 s
  local p=${pid[$1]:-} i
  [ -n "$p" ] || return 0
  kill "$p" 2>/dev/null
  for i in $(seq 100); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$p" 2>/dev/null
  wait "$p" 2>/dev/null
  unset "pid[$1]"
}
teardown() {
  trap - EXIT INT TERM
  if [ -n "$keep" ] && [ -z "$failed" ]; then return; fi
  [ -n "${loop:-}" ] && kill "$loop" 2>/dev/null
  if [ -n "${pid[podlet]:-}" ]; then
    podlet delete --all >/dev/null || failed=1
    stop podlet
  fi
  stop netproxy-b
  ip link del podshim-out 2>/dev/null
  stop outside
  stop node-b
  stop netproxy
  "$bin/netproxy" --cleanup >/dev/null 2>&1
  stop podshim
  ip link del podshim0 2>/dev/null
  nft delete table inet podshim_cni 2>/dev/null
  for s in "${!before[@]}"; do [ "$(cat "/proc/sys/$s")" = "${before[$s]}" ] || echo "${before[$s]}" >"/proc/sys/$s"; done
  if [ -n "$failed" ]; then echo "logs are kept in $dir/log" >&2; rm -rf "$dir"/{root,state}; else rm -rf "$dir"; fi
  [ -z "$failed" ]
}
