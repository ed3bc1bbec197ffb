#!/usr/bin/env bash
# Checks that the wheel works in a fresh venv outside the checkout.
# Usage: tests/wheel.sh [PYTHON]
set -euo pipefail
python=${1:-python3}
checkout=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/build"
"$work/build/bin/python" -m pip -q --disable-pip-version-check install build
cd "$checkout"
# Builds the wheel from the sdist, so that a file missing from either is detected.
"$work/build/bin/python" -m build --outdir "$work/dist" . >"$work/build.log" 2>&1 ||
  { cat "$work/build.log"; exit 1; }

"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip -q --disable-pip-version-check install \
  -c constraints.txt "$work"/dist/*.whl
cd "$work"
newsletter=$work/venv/bin/newsletter
"$newsletter" demo
test "$(find demo -name 'edition.*' | wc -l)" = 6
"$newsletter" init
"$newsletter" config check
"$newsletter" ingest "$checkout"/newsletter/sample/2026-11-19.json
"$newsletter" preview
test -s preview/edition.html
"$newsletter" install-service --user >unit
grep -q serve unit
case $("$work/venv/bin/python" -c 'import newsletter; print(newsletter.__file__)') in
  "$work"/*) echo "The wheel works." ;;
  *) echo "The checkout was used instead of the wheel."; exit 1 ;;
esac
