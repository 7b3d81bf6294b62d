#!/usr/bin/env bash
# Runs commands one after the other as a named stage, stops at the first that fails, and reports
# how long each one took.
#
# usage: stage.sh NAME COMMAND...      such as: stage.sh "slow tests" "make test-asan"
#        stage.sh --summary FILE       prints the results recorded in FILE as a table
#
# If STAGES is set, it names a file to which every start and every result is appended.
set -uo pipefail

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

if [ "${1:-}" = --summary ]; then
    # A command that was started and has no result was interrupted.
    awk -F '\t' '
        function row(indent, name, result, seconds) {
            printf "%-60s %-12s %3d:%02d\n", indent name, result, seconds / 60, seconds % 60
        }
        !(($1, $2) in result) { commands[$1] = commands[$1] FS $2 }
        !($1 in stage_seconds) { stages[++count] = $1 }
        { result[$1, $2] = $3; seconds[$1, $2] = $4; stage_seconds[$1] += $4; all += $4 }
        END {
            for (i = 1; i <= count; i++) {
                stage = stages[i]
                n = split(substr(commands[stage], 2), command, FS)
                last = result[stage, command[n]]
                row("", stage, last == "started" ? "INTERRUPTED" : last, stage_seconds[stage])
                for (j = 1; j <= n; j++) {
                    last = result[stage, command[j]]
                    row("    ", command[j], last == "started" ? "INTERRUPTED" : last, seconds[stage, command[j]])
                }
            }
            row("", "all stages", "", all)
        }' "$2"
    exit
fi

name=$1
shift
record() { [ -z "${STAGES:-}" ] || printf '%s\t%s\t%s\t%s\n' "$name" "$1" "$2" "$3" >>"$STAGES"; }

printf '\n======== stage: %s (%s)\n' "$name" "$(date -u +%H:%M:%S)"
SECONDS=0
for command in "$@"; do
    begin=$SECONDS
    printf '\n---- %s: %s\n' "$name" "$command"
    record "$command" started 0
    bash -c "$command"
    status=$?
    took=$((SECONDS - begin))
    if [ $status -ne 0 ]; then
        record "$command" FAILED $took
        printf '\n======== stage: %s FAILED in `%s` after %s\n' "$name" "$command" "$(clock $took)"
        exit $status
    fi
    record "$command" passed $took
    printf -- '---- %s: %s passed in %s\n' "$name" "$command" "$(clock $took)"
done
printf '\n======== stage: %s passed in %s\n' "$name" "$(clock $SECONDS)"
