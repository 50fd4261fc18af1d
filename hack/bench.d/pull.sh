# Section pull: hack/bench-pull, its figures as samples. Sourced by hack/bench.d/inside.

section_pull() {
  local log=$bench_dir/pull.log
  PODSHIM_BIN=$bench_build/bin unshare --net hack/bench-pull --inside --rounds 5 --mb 300 --json "$bench_dir/pull.json" >"$log" 2>&1 ||
    quit "hack/bench-pull failed" "$log"
  jq -r '{"podshim": "pull.answer ours", "podshim+sync": "pull.synced ours", "containerd": "pull.answer peer",
          "containerd+sync": "pull.synced peer"} as $row | .[] | .name as $n | .all_ms[] | "\($row[$n]) \(.)"' "$bench_dir/pull.json" >>"$samples"
}
