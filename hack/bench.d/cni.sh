# Section cni: our plugins beside Debian's, by tests/bench/plugin_bench.cc. Sourced by hack/bench.d/inside.

section_cni() {
  mkdir "$bench_dir/cni" # leases on the disk, for both
  unshare --net "$tools/plugin_bench" --ours "$bench_build/cni" --peer /usr/lib/cni --dir "$bench_dir/cni" \
    --rounds "$bench_rounds" --samples "$samples"
}
