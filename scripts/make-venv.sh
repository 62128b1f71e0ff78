#!/bin/sh
# Make a virtual environment with the first Python 3.11 or newer that is able to: make-venv.sh FOLDER [PYTHON]
set -eu
folder=$1
shift
[ $# -gt 0 ] || set -- python3 python3.14 python3.13 python3.12 python3.11 python

# Failed attempts are removed below; a folder that holds something else must never be.
if [ -e "$folder" ] && [ ! -f "$folder/pyvenv.cfg" ] && [ -n "$(ls -A "$folder")" ]; then
    echo "chainrule: '$folder' exists and is no virtual environment; name another place with VENV=folder" >&2
    exit 1
fi

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
seen=''
found=''

# A failed attempt leaves half a folder behind; `make` must not take that for an environment.
attempt() {
    rm -rf "$folder"
    "$@" >/dev/null 2>&1 && "$folder/bin/python" -m pip --version >/dev/null 2>&1
}

for python in "$@"; do
    version=$("$python" --version 2>/dev/null) || continue
    seen="$seen $python ($version)"
    "$python" -c "$new_enough" 2>/dev/null || continue
    found=$python
    attempt "$python" -m venv "$folder" && exit 0
    attempt "$python" -m virtualenv --quiet "$folder" && exit 0
    attempt virtualenv --quiet --python "$python" "$folder" && exit 0
    attempt uv venv --quiet --seed --python "$python" "$folder" && exit 0
done

rm -rf "$folder"
if [ -n "$found" ]; then
    version=$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    cat >&2 <<END
chainrule: $found is new enough (Python $version) but cannot make a virtual environment in '$folder'.
On Debian and Ubuntu the part that is missing is a package of its own: sudo apt install python3-venv
(or python$version-venv). virtualenv or uv will do as well. Then call make again.
END
else
    cat >&2 <<END
chainrule needs Python 3.11 or newer. Tried: $*. Found:${seen:- none}.
Install one (https://www.python.org/downloads/), or name yours: make PYTHON=/path/to/python3.12
END
fi
exit 1
