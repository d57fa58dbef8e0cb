#!/usr/bin/env bash
# What:        zensical 0.0.73, plugin "offline"
# Seen:        2026-11-29
# Naive guess: a documentation site that is built with the plugin "offline" asks no other host: that is what it is for.
# Seen:        every page gets a script of https://unpkg.com (iframe-worker) that it does not have without the plugin, so
#              the site that was meant for readers without a network is the one that asks for it.
# Product:     the site is built without the plugin (decision 0031); a test holds that.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check zensical==0.0.73
build() { # name, plugin section
    mkdir -p "$folder/$1/docs"
    printf '# A page\n\nText.\n' >"$folder/$1/docs/index.md"
    printf '[project]\nsite_name = "A site"\n[project.theme]\nfont = false\n%s' "$2" >"$folder/$1/zensical.toml"
    (cd "$folder/$1" && "$folder/venv/bin/zensical" build >/dev/null)
}
build plain ''
build offline $'[project.plugins.offline]\nenabled = true\n'
scripts() { grep -oh '<script[^>]*src="\?http[^" >]*' "$folder/$1/site/index.html" | sed 's/.*src="\?//' | sort -u; }
plain=$(scripts plain || true)
offline=$(scripts offline || true)
echo "scripts of other hosts without the plugin: ${plain:-none}"
echo "scripts of other hosts with it:            ${offline:-none}"
[ -z "$plain" ] && [[ "$offline" == https://unpkg.com/iframe-worker* ]]
