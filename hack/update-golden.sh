#!/usr/bin/env bash
# Rewrites the golden files from what the build prints now. Read `git diff` before you commit: that is the review.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$top"
hack/build release tests-golden tests-root programs >/dev/null
export PODSHIM_UPDATE_GOLDEN=1
for program in build/release/tests/golden/*; do
  if [ -f "$program" ] && [ -x "$program" ]; then "$program" --gtest_brief=1 || true; fi
done
build/release/tests/root/cni_portmap_root_test --gtest_brief=1 --gtest_filter='*olden*' || true
git status --short tests
