#!/bin/sh
# Debian's chromium for the browser tests, and its strace for those that watch system calls. Where
# one cannot be had, its tests skip and say so.
there() {
    for name in "$@"; do command -v "$name" >/dev/null 2>&1 && return 0; done
    return 1
}

missing=""
there chromium chromium-browser || missing="chromium"
there strace || [ "$(uname)" != Linux ] || missing="$missing strace"
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # one word for each package
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
fi
echo "not here, and no way to install it: $missing; the tests that need it will be skipped"
