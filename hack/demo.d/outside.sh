# Scenes 7 to 10: names, clients outside, a second node, affinity.
#
#   $net.0/24:   this node .1 (podshim-out) ----- wire (a bridge in the namespace `outside`, the client: .100)
#                node-b    .2 (eth0)        --------'   node-b reaches the Pods over this node

scene_by_name() {
  step "7. the client Pod calls its Service by name"
  podlet exec "$client" -- cat /etc/resolv.conf | sed 's/^/         /'
  local name answer
  for name in hello hello.default hello.default.svc.cluster.local; do
    answer=$(podlet exec "$client" -- curl -sf --max-time 3 "http://$name/name") || die "curl http://$name/name in the Pod $client"
    say "curl http://$name/name: $answer"
    [[ $answer = hello-* ]] || die "http://$name/name was answered by '$answer'"
  done
  podlet exec "$client" -- curl -s --max-time 3 http://nobody.default.svc.cluster.local/ >/dev/null
  [ $? = 6 ] || die "a Service that does not exist has an address" # 6: curl could not resolve the name
}

# The first range for documentation and tests (RFC 5737, RFC 2544) that this machine does not use itself.
unused_net() {
  local candidate used
  used=$(ip -o -4 addr; ip -4 route)
  for candidate in 192.0.2 198.51.100 198.18.0; do
    [[ $used =~ (^|[^0-9])${candidate//./[.]}[.] ]] || { echo "$candidate"; return; }
  done
}
connect_outside() {
  net=$(unused_net)
  [ -n "$net" ] || die "this machine uses every range that is free for an outside client"
  namespace outside
  namespace node-b
  in_ns outside ip link add wire type bridge
  in_ns outside ip addr add $net.100/24 dev wire
  in_ns outside ip link set wire up
  ip link add podshim-out type veth peer name node-a netns "${pid[outside]}" || die "a veth to the client"
  ip addr add $net.1/24 dev podshim-out
  ip link set podshim-out up
  in_ns outside ip link add node-b type veth peer name eth0 netns "${pid[node-b]}"
  in_ns node-b ip addr add $net.2/24 dev eth0
  in_ns node-b ip link set eth0 up
  for port in node-a node-b; do in_ns outside ip link set "$port" master wire up; done
  in_ns outside ip route add default via $net.1
  in_ns node-b ip route add default via $net.1 # the Pods of this node, too
  in_ns node-b sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}
from_outside() { in_ns outside curl -s --max-time "${2:-2}" "$1"; } # from_outside URL [SECONDS]

scene_outside() {
  step "8. a client outside the node: whose address does the backend see?"
  connect_outside
  say "the client has $net.100, this node $net.1"
  lb=$(service hello-local '.status.loadBalancer.ingress[0].ip')
  localport=$(service hello-local '.spec.ports[0].nodePort')
  podlet get services
  [[ $lb = 203.0.113.* ]] || die "hello-local has the load balancer address '$lb'"
  wait_for 5 "3 endpoints of hello-local" endpoints_are 3 hello-local
  local policy url seen
  for url in "http://$net.1:$localport" "http://$lb" "http://$net.1:$nodeport"; do
    policy=Local
    [ "$url" = "http://$net.1:$nodeport" ] && policy=Cluster
    seen=$(for _ in $(seq 10); do from_outside "$url/client" || echo failed; echo; done | grep . | sort -u)
    say "externalTrafficPolicy $policy, $url: the backends see $(echo $seen)"
    if [ $policy = Local ]; then
      [ "$seen" = $net.100 ] || die "not the client's own address"
    else
      ip -o -4 addr | awk '{sub("/.*", "", $4); print $4}' | grep -qxF "$seen" || die "not an address of this node"
    fi
  done
}

scene_second_node() {
  step "9. a second node (node-b, $net.2) with the same Services and no Pod"
  nsenter -t "${pid[node-b]}" -n -- "$bin/netproxy" --config "$dir/config.yaml" --node-name node-b --node-ip $net.2 \
    --status-file "$dir/node-b-status.json" >"$dir/log/netproxy-b.log" 2>&1 </dev/null &
  pid[netproxy-b]=$!
  wait_for 10 "netproxy of node-b" jq -e '.services["default/hello"]' "$dir/node-b-status.json"
  local answer url
  answer=$(from_outside "http://$net.2:$nodeport/name") || die "Cluster: node-b does not forward to a Pod of this node"
  say "externalTrafficPolicy Cluster: node-b forwards to this node, $answer answers"
  in_ns outside ip route add "$lb" via $net.2
  for url in "http://$net.2:$localport" "http://$lb"; do
    from_outside "$url/name" 1
    [ $? = 28 ] || die "Local without a local endpoint: $url was not dropped" # 28: curl heard nothing, not even a refusal
    say "externalTrafficPolicy Local: $url on node-b is dropped"
  done
  in_ns outside ip route del "$lb" via $net.2
  from_outside "http://$lb/name" >/dev/null || die "http://$lb over this node"
}

scene_affinity() {
  step "10. sessionAffinity ClientIP: one client, one backend"
  local sticky stickyport who
  sticky=$(service hello-sticky .spec.clusterIP)
  stickyport=$(service hello-sticky '.spec.ports[0].nodePort')
  wait_for 5 "3 endpoints of hello-sticky" endpoints_are 3 hello-sticky
  for _ in $(seq 20); do curl -sf --max-time 2 "http://$sticky/name" || echo failed; echo; done | grep . >"$dir/sticky-node.txt"
  podlet exec "$client" -- /bin/probe get "http://$sticky/name" --count 20 >"$dir/sticky-pod.txt" || die "requests from the client Pod"
  for _ in $(seq 20); do from_outside "http://$net.1:$stickyport/name" || echo failed; echo; done | grep . >"$dir/sticky-outside.txt"
  for who in node pod outside; do
    say "20 requests of the client \"$who\":"
    tally <"$dir/sticky-$who.txt"
    [ "$(sort -u "$dir/sticky-$who.txt" | wc -l)" = 1 ] || die "more than one backend answered one client"
    grep -q failed "$dir/sticky-$who.txt" && die "a request failed"
  done
  return 0
}
