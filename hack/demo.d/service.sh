# Scenes 3 to 6: one Service, its endpoints, and a Service that has none.

scene_service() {
  step "3. one Service: 60 requests from the node, 60 from inside a Pod"
  vip=$(service hello .spec.clusterIP)
  nodeport=$(service hello '.spec.ports[0].nodePort')
  podlet get services
  wait_for 5 "3 endpoints" endpoints_are 3
  for _ in $(seq 60); do curl -sf --max-time 2 "http://$vip/name" || echo failed; echo; done | grep . >"$dir/node.txt"
  say "from the node to $vip:80"
  tally <"$dir/node.txt"
  grep -q failed "$dir/node.txt" && die "a request from the node failed"
  [ "$(sort -u "$dir/node.txt" | wc -l)" = 3 ] || die "not every backend answered the node"
  wait_for 20 "the client Pod" ready app=client 1
  client=$(pod_of app=client)
  podlet exec "$client" -- /bin/probe get "http://$vip/name" --count 60 >"$dir/pod.txt" || die "requests from the client Pod"
  say "from the Pod $client"
  tally <"$dir/pod.txt"
  [ "$(sort -u "$dir/pod.txt" | wc -l)" = 3 ] || die "not every backend answered the Pod"
  curl -sf --max-time 2 "http://127.0.0.1:$nodeport/name" >/dev/null || die "NodePort $nodeport on 127.0.0.1"
  say "NodePort $nodeport answers on 127.0.0.1"
}

scene_replacement() {
  step "4. one backend is deleted; its replacement joins with a new IP"
  local victim old bad new ready_at acked_at joined
  victim=$(pod_of app=hello)
  old=$(podlet get pods "$victim" -o json | jq -r .status.podIP)
  ( while :; do curl -s -o /dev/null --max-time 2 -w '%{http_code}\n' "http://$vip/name" || echo failed; done ) >"$dir/loop.txt" 2>/dev/null &
  loop=$!
  podlet delete pod "$victim" || die "delete $victim"
  replaced() { ready app=hello 3 && endpoints_are 3 && ! in_vip | grep -qF "$old:"; }
  wait_for 20 "the replacement" replaced
  sleep 0.5
  kill $loop; wait $loop 2>/dev/null; loop=""
  bad=$(grep -cv '^200$' "$dir/loop.txt")
  new=$(podlet get pods -l app=hello -o json | jq -r '.items[].status.podIP' | grep -vxF "$ips")
  say "$victim ($old) left, the replacement has $new; $(wc -l <"$dir/loop.txt") requests meanwhile, $bad failed"
  [ "$bad" = 0 ] || die "$bad requests failed"
  [ -n "$new" ] || die "the replacement has no new IP"
  ready_at=$(podlet get pods -l app=hello -o json | jq -r --arg ip "$new" '.items[] | select(.status.podIP == $ip) | .status.conditions[] | select(.type == "Ready") | .lastTransitionTime')
  acked_at=$(jq -r '.services["default/hello"].acknowledged' "$dir/netproxy-status.json")
  joined=$(( ($(date -d "$acked_at" +%s%N) - $(date -d "$ready_at" +%s%N)) / 1000000 ))
  say "from ready to in the VIP: $joined ms"
  [ "$joined" -ge 0 ] && [ "$joined" -lt 1000 ] || die "ready at $ready_at, in the VIP at $acked_at"
}

scene_readiness() {
  step "5. a Pod that is not ready gets no traffic; once ready it gets some"
  local switch switch_ip
  switch=$(pod_of app=hello)
  switch_ip=$(podlet get pods "$switch" -o json | jq -r .status.podIP)
  curl -sf --max-time 2 "http://$switch_ip:8080/ready/off" >/dev/null || die "readiness switch"
  wait_for 10 "2 endpoints" endpoints_are 2
  sleep 0.1
  for _ in $(seq 30); do curl -sf --max-time 2 "http://$vip/name"; echo; done | grep . >"$dir/notready.txt"
  say "$switch is not ready:"; tally <"$dir/notready.txt"
  grep -qx "$switch" "$dir/notready.txt" && die "$switch got traffic while not ready"
  curl -sf --max-time 2 "http://$switch_ip:8080/ready/on" >/dev/null
  wait_for 10 "3 endpoints" endpoints_are 3
  sleep 0.1
  for _ in $(seq 60); do curl -sf --max-time 2 "http://$vip/name"; echo; done | grep . >"$dir/ready.txt"
  say "$switch is ready again:"; tally <"$dir/ready.txt"
  grep -qx "$switch" "$dir/ready.txt" || die "$switch got no traffic once ready"
}

scene_lost() {
  step "6. a Service whose selector matches nothing says why"
  podlet describe service lost || die "describe service lost"
  podlet describe service lost | grep -q 'Endpoints:.*<none>' || die "describe service lost does not say Endpoints: <none>"
}
