# Section lists: stats, lists and an idle node, by tests/bench/density_bench.cc. Sourced by hack/bench.d/inside.

section_lists() {
  PODSHIM_IMAGES=$PWD/build/images "$tools/density_bench" --pods 50 --containers 10 --rounds "$bench_rounds" --samples "$samples.500" >&2
  PODSHIM_IMAGES=$PWD/build/images "$tools/density_bench" --pods 100 --containers 10 --rounds "$bench_rounds" --dead 20000 --samples "$samples.1000" >&2
  PODSHIM_IMAGES=$PWD/build/images "$tools/density_bench" --pods 50 --containers 1 --rounds 3 --idle 60 --samples "$samples.idle" >&2
  grep -E '^lists\.(stats|pods|metrics)' "$samples.500" >>"$samples"
  grep -E '^lists\.(relist|every|dead)' "$samples.1000" >>"$samples"
  grep -E '^lists\.idle' "$samples.idle" >>"$samples"
}
