#!/bin/sh
# hack/check-child-symbols.sh BUILD_DIR: what child_*.o and pause call. Between clone and exec only raw system calls are
# safe; an undefined symbol outside the list means that libc with its locks, its allocator or its thread state came in.
# Exits 1 with the symbol and its object when one is not allowed.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 BUILD_DIR" >&2; exit 2; }
build=$1

# Plain memory functions, which compilers call by themselves; position tables; the child's own functions.
allowed='^(memcpy|memset|memmove|memcmp|memchr|strlen|_GLOBAL_OFFSET_TABLE_)$'
own='^_ZN(K)?7podshim(5child|9run_child)'

objects=$(find "$build" -path '*shim_monitor_child.dir*' -name 'child_*.o' | sort)
[ -n "$objects" ] || { echo "$0: no child_*.o below $build" >&2; exit 2; }
sources=$(ls "$(dirname "$0")"/../shim/monitor/child_*.cc | wc -l)
[ "$(echo "$objects" | wc -l)" -eq "$sources" ] || { echo "$0: $sources sources, but other objects: $objects" >&2; exit 1; }

bad=0
for object in $objects; do
  for symbol in $(nm -u "$object" | awk '{print $NF}'); do
    echo "$symbol" | grep -Eq "$allowed|$own" && continue
    echo "$(basename "$object"): calls $(echo "$symbol" | c++filt)" >&2
    bad=1
  done
  # Nothing may run before or after main on their behalf, and nothing may live per thread.
  if nm "$object" | grep -Eq ' [bBdD] '; then
    echo "$(basename "$object"): has writable data" >&2
    bad=1
  fi
done

pause=$(find "$build" -path '*pause*' -name pause -type f -perm -u+x | head -1)
[ -n "$pause" ] || { echo "$0: no pause below $build" >&2; exit 2; }
if nm -u "$pause" 2>/dev/null | grep -q .; then
  echo "pause: has undefined symbols" >&2
  bad=1
fi
[ $bad -eq 0 ] && echo "child symbols: $(echo "$objects" | wc -l) objects and pause are clean"
exit $bad
