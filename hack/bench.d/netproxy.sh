# Section netproxy: our proxy from its directory of JSON files beside the same Services as kube-proxy writes them, loaded
# by `nft -f` (the peer's time has no reading of Services in it). Each in a network namespace of its own. Sourced by
# hack/bench.d/inside.

# In a new network namespace: the rules from empty, then one endpoint to and fro.
kube_proxy_way() { # SERVICES ROUNDS
  local services=$1 rounds=$2 files=/run/kube-proxy-$1 i begin
  mkdir $files
  awk -v services="$services" -f hack/bench.d/kube-proxy-rules >$files/all
  awk -v change=$((services / 2)) -v old=100 -v new=110 -f hack/bench.d/kube-proxy-rules >$files/change-0
  awk -v change=$((services / 2)) -v old=110 -v new=100 -f hack/bench.d/kube-proxy-rules >$files/change-1
  for i in $(seq "$rounds"); do
    nft delete table ip kube-proxy 2>/dev/null || true
    begin=$(now)
    nft -f $files/all
    echo "netproxy.$services.load peer $(took "$begin")" >>"$samples"
  done
  for i in $(seq 0 10); do
    begin=$(now)
    nft -f $files/change-$((i % 2))
    echo "netproxy.$services.change peer $(took "$begin")" >>"$samples"
  done
  rm -r $files
}

section_netproxy() {
  export -f kube_proxy_way now took
  export samples
  local services rounds
  for services in 1000 10000; do
    unshare --net sh -c 'ip link set lo up; exec "$@"' - "$tools/service_bench" --program "$bench_build/bin/netproxy" --services $services \
      --dir /run/services-$services --rounds 5 --samples "$samples"
    rm -r /run/services-$services
    rounds=$((services > 1000 ? 1 : 5)) # the large one takes most of a minute
    unshare --net bash -euo pipefail -c "kube_proxy_way $services $rounds"
  done
}
