#!/bin/sh
# reload COMMAND…   runs it from a writable copy of the code, in /src, and starts it anew when that copy changes.
# A container that starts again keeps its copy, with the changes that were synced into it.
set -eu
[ -e /src/jobcore ] || cp -R --preserve=timestamps "$VIRTUAL_ENV"/lib/python3*/site-packages/jobcore \
    "$VIRTUAL_ENV"/lib/python3*/site-packages/longrun_[a-z]* /src
exec watchfiles --filter python --sigint-timeout 10 "$*" /src
