#!/bin/sh
# Leaves of the source tree in the current folder what decides its dependencies: the manifests, the lock file, the
# build scripts, and an empty program or library in the place of each that there is. For docker/Dockerfile.
set -eu
[ -f Cargo.lock ] || { echo "skeleton.sh: there is no Cargo.lock here" >&2; exit 1; }
found=$(mktemp)
for manifest in crates/*/Cargo.toml xtask/Cargo.toml; do
    package=$(dirname "$manifest")
    for file in src/lib.rs src/main.rs; do
        [ ! -f "$package/$file" ] || echo "$package/$file" >>"$found"
    done
    # Programs and tests at places of their own must be there, or Cargo refuses the manifest.
    sed -n 's/^path *= *"\(.*\.rs\)"$/\1/p' "$manifest" | while read -r file; do
        echo "$package/$file" >>"$found"
    done
    # Of the chores and of what tests stand on, only the manifests come with the sources.
    [ "$package" != xtask ] || echo "$package/src/main.rs" >>"$found"
    [ "$package" != crates/testkit ] || echo "$package/src/lib.rs" >>"$found"
done
find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -name build.rs -delete
sort -u "$found" | while read -r file; do
    mkdir -p "$(dirname "$file")"
    case $file in
    */lib.rs) echo '//! Empty.' >"$file" ;;
    *) printf '//! Empty.\n\nfn main() {}\n' >"$file" ;;
    esac
done
rm -f "$found"
find . -depth -type d -empty -delete
