#!/usr/bin/env bash
# Who may include whom (docs/architecture.md). One line per violation; exit 1 when there is any.
set -uo pipefail
cd "$(dirname "$0")/.."
bad=0
# deny ROOM-REGEX INCLUDE-REGEX WHY [EXCEPT-FILE-REGEX]
deny() {
  local hits
  hits=$(git ls-files -co --exclude-standard -- '*.cc' '*.h' | grep -E "$1" | { [ -n "${4:-}" ] && grep -vE "$4" || cat; } |
    xargs -r grep -nE "^ *# *include *[<\"]$2" | sed "s|$|   <- $3|")
  [ -n "$hits" ] && { echo "$hits"; bad=1; }
}
deny '^common/' '(shim|cni|netproxy|podlet)/' 'common includes nothing of ours'
deny '^shim/' '(cni|netproxy|podlet)/' 'programs do not include each other'
deny '^cni/' '(shim|netproxy|podlet)/' 'programs do not include each other'
deny '^netproxy/' '(shim|cni|podlet)/' 'programs do not include each other'
deny '^podlet/' '(shim|cni|netproxy)/' 'programs do not include each other'
deny '^shim/plan/' 'shim/(cri|lifecycle|apply|state|image|cni_client)/' 'plan is pure'
deny '^shim/plan/' 'common/sys/' 'plan makes no system calls'
deny '^shim/(apply|state|image|cni_client)/' 'shim/(cri|lifecycle)/' 'the lower rooms do not know the upper ones'
deny '^shim/lifecycle/' 'shim/cri/' 'only main includes cri'
deny '^shim/streaming/' 'shim/(cri|apply|state|image|cni_client|plan|monitor)/' 'streaming knows the Runtime only'
deny '^shim/(lifecycle|apply|state|image|cni_client|plan|monitor)/' 'shim/streaming/' 'only cri and main know the streaming server'
deny '^shim/(cri/|main)' 'shim/streaming/([a-rt-z]|s[a-df-z]|se[a-qs-z])' 'of streaming, server.h is all that others see'
deny '^(common|shim|cni|netproxy|podlet)/' 'boost/' 'Boost lives in shim/streaming and shim/metrics/http' '^shim/(streaming/|metrics/)'
deny '^shim/streaming/' 'boost/beast' 'Beast is behind two files' '^shim/streaming/(http_upgrade|websocket_carrier)\.cc$'
deny '^shim/(plan|apply|state|image|cni_client|lifecycle|monitor)/' 'shim/metrics/' 'who is counted does not know who counts'
deny '^(common|shim|cni|netproxy|podlet)/' 'prometheus/' 'prometheus-cpp is behind shim/metrics/metrics.h' '^shim/metrics/metrics\.cc$'
deny '^shim/monitor/' 'shim/(cri|lifecycle|apply|state|image|cni_client|plan)/' 'the monitor stands alone'
deny '^shim/(cri|lifecycle|state|image|cni_client|plan)/' 'shim/monitor/' 'only apply/monitor_process speaks to the monitor' '^shim/plan/program\.(h|cc)$'
deny '^(common|shim|cni|netproxy|podlet)/' '(grpc|grpcpp)/' 'of the programs only podlet/runtime_client uses the gRPC library' '^podlet/runtime_client'
deny '^(common|shim|cni|netproxy|podlet)/' 'google/protobuf' 'protobuf lives in shim/cri and podlet/runtime_client' '^(shim/cri/|podlet/runtime_client)'
deny '^(common|shim|cni|netproxy|podlet)/' 'nghttp2/' 'HTTP/2 is behind shim/cri/connection.h' '^shim/cri/connection\.cc$'
deny '^(common|shim|cni|netproxy|podlet)/' '.*\.pb\.h' 'protobuf lives in shim/cri and podlet/runtime_client' '^(shim/cri/|podlet/runtime_client)'
deny '^(common|shim|cni|netproxy|podlet)/' 'nlohmann/' 'the JSON library is behind common/json.h' '^common/json\.cc$'
deny '^(common|shim|cni|netproxy|podlet)/' 'yaml-cpp/' 'the YAML library is behind common/yaml.h' '^common/yaml\.cc$'
deny '^(shim|cni|podlet)/' '(libmnl|libnftnl|libnetfilter_conntrack)/' 'libmnl and libnftnl are of netproxy'
deny '^(shim|cni|netproxy|podlet)/' 'linux/' 'kernel headers live in common/sys, common/netlink, the monitor and netproxy' \
  '^(shim/monitor/|shim/plan/(seccomp|capabilities|cgroup|devices|mounts|program|device)|netproxy/(render_netlink|conntrack|apply|netlink|nft)|cni/)'
[ $bad = 0 ] && echo "includes: ok"
exit $bad
