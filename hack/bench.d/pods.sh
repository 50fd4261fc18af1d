# Section pods: the daemon beside Debian's containerd + runc, driven by one CRI client. The same image, the same kind of
# network (bridge + host-local + portmap), roots on the same disk. Sourced by hack/bench.d/inside.

peer_config() { # ROOT STATE
  cat <<TOML
version = 2
root = "$1"
state = "$2"
[grpc]
  address = "$2/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "podshim.dev/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$1/net.d"
TOML
}
peer_network() { # DATADIR
  cat <<JSON
{"cniVersion": "1.0.0", "name": "peer", "plugins": [
  {"type": "bridge", "bridge": "peer0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$1", "ranges": [[{"subnet": "10.44.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
}
our_config() { # ROOT STATE
  cat <<YAML
podshim:
  root: $1
  state: $2
  socket: $2/podshim.sock
  cni-conf-dir: $1/net.d
  cni-bin-dirs: [$bench_build/cni]
  cgroup-parent: $bench_cgroup-podshim
YAML
}

section_pods() {
  local ours=$bench_dir/ours peer=$bench_dir/peer bin=$bench_build/bin image
  mkdir -p "$ours/net.d" "$peer/net.d" /run/ours /run/peer
  # A default route, as a node has one.
  ip link add uplink type veth peer name uplink-peer
  ip addr add 198.51.100.2/24 dev uplink
  ip link set uplink up
  ip link set uplink-peer up
  ip route add default via 198.51.100.1

  our_config "$ours" /run/ours >"$ours/config.yaml"
  "$bin/podshim" --config "$ours/config.yaml" cni-config >"$ours/net.d/10-podshim.conflist"
  "$bin/podshim" --config "$ours/config.yaml" >"$ours/log" 2>&1 &
  local daemon=$!
  peer_config "$peer" /run/peer >"$peer/config.toml"
  peer_network "$peer/ipam" >"$peer/net.d/10-peer.conflist"
  containerd -c "$peer/config.toml" >"$peer/log" 2>&1 &
  local containerd=$!
  for _ in $(seq 400); do [ -S /run/ours/podshim.sock ] && [ -S /run/peer/containerd.sock ] && break; sleep 0.05; done
  "$bin/podshim" --config "$ours/config.yaml" image import build/images/busybox.tar >/dev/null || quit "podshim does not serve" "$ours/log"
  for image in busybox pause; do
    ctr -a /run/peer/containerd.sock -n k8s.io images import build/images/$image.tar >/dev/null || quit "containerd does not serve" "$peer/log"
  done
  "$tools/cri_bench" --ours /run/ours/podshim.sock --peer /run/peer/containerd.sock --rounds "$bench_rounds" \
    --cgroup-parent "$bench_cgroup" --samples "$samples"
  kill $daemon $containerd
  wait $daemon $containerd || true
}
