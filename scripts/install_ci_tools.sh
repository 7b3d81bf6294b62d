#!/usr/bin/env bash
# Installs the tools that CI needs beyond the README's list. Without them, checks would be skipped.
set -euo pipefail

packages=(
    gcc g++ make binutils pkg-config valgrind sqlite3 util-linux curl
    cmake meson
    chromium python3-torch binaryen
    qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
)
sudo=$([ "$(id -u)" = 0 ] || echo sudo)
missing=()
for package in "${packages[@]}"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
command -v npm >/dev/null || missing+=(nodejs npm)
if [ ${#missing[@]} -gt 0 ]; then
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
# Node before 20.19 cannot load the package by require(). Some Debians have such a one.
node -e 'const [a, b] = process.versions.node.split("."); process.exitCode = +(a < 20 || (a == 20 && b < 19))' ||
    $sudo npm install --global --silent node@22

# As far as rustup can reach its server; every check that needs one of these has another way or
# reports what is missing. With rust-src, scripts/build_wasm.sh makes the smallest files.
for component in rustfmt clippy rust-src; do
    rustup component add $component || echo "rustup: no $component"
done
for target in wasm32-unknown-unknown aarch64-unknown-linux-gnu x86_64-pc-windows-gnu; do
    rustup target add $target || echo "rustup: no target $target"
done
