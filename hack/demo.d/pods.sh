# Scenes 1 and 2: Pods.

scene_backends() {
  step "1. a Deployment of 3 backends, each with its own IP"
  wait_for 20 "3 backends ready" ready app=hello 3
  podlet get pods -o wide
  ips=$(podlet get pods -l app=hello -o json | jq -r '.items[].status.podIP')
  [ "$(echo "$ips" | sort -u | wc -l)" = 3 ] || die "the backends do not have three addresses: $ips"
  echo "$ips" | grep -qv '^10\.42\.' && die "an address outside 10.42.0.0/16: $ips"
  return 0
}

scene_shared_volume() {
  step "2. two containers of one Pod: one writes a log, the other archives and serves it"
  local logbook
  wait_for 20 "the log Pod is ready" ready app=logbook 1
  logbook=$(pod_of app=logbook)
  say "over localhost, from the writer to the archiver:"
  podlet exec "$logbook" -c writer -- /bin/probe get "http://127.0.0.1:8080/file?path=/logs/app.log" | tail -2 || die "localhost"
  say "the archive in the shared emptyDir, written by the other container:"
  archived() { podlet exec "$logbook" -c writer -- ls /logs/archive | grep .; }
  wait_for 10 "an archive" archived
  archived | tail -2
}
