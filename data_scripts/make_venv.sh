#!/bin/sh
# The virtual environment that `make` installs into: `make_venv.sh VENV [PYTHON [GOAL]]`. One that is there stays as it
# is. For a new one it takes PYTHON, or else the best Python on PATH or in pyenv's keeping; if none is fit, it says what to
# type, and exits 1.
# POSIX sh, since there may be no Python at all. A name on PATH counts only if it runs: pyenv has one for each version
# that it keeps, and most of them only say that they are not active. Such a version will do: pyenv is asked where it is.
set -u
venv=$1 python=${2:-} goal=${3:-demo}
best=3.13
candidates="python3.13 python3.14 python3.12 python3.11 python3"
to_make_one="ensurepip venv"
to_run="ssl sqlite3 ctypes lzma bz2 zlib" # a Python that was built where a library was absent lacks its module

# What this prints of a Python, old ones too: is 3 13 7 cpython 64 gil glibc none
#                                                (version, implementation, bits, threads, C library, what it lacks)
questions='
import struct, sys, sysconfig
missing = []
for name in sys.argv[1:]:
    try:
        __import__(name)
    except ImportError:
        missing.append(name)
built = " ".join(str(sysconfig.get_config_var(name)) for name in ("SOABI", "MULTIARCH", "HOST_GNU_TYPE"))
print("is %d %d %d %s %d %s %s %s" % (
    tuple(sys.version_info[:3])
    + (getattr(getattr(sys, "implementation", None), "name", "cpython"), struct.calcsize("P") * 8)
    + ("free" if sysconfig.get_config_var("Py_GIL_DISABLED") else "gil", "musl" if "musl" in built else "glibc")
    + (",".join(missing) or "none",)
))
'

# judge PYTHON MODULE...: sets `why` to the reason why it is not fit, empty if it is fit and has these modules.
judge() {
    why="is not there"
    command -v "$1" >/dev/null || return 0
    asked=$1
    shift
    if ! facts=$("$asked" -c "$questions" "$@" 2>&1 </dev/null); then
        why="does not run: $(printf '%s\n' "$facts" | head -n 1)"
        return 0
    fi
    why="does not say which Python it is"
    # shellcheck disable=SC2046 # eight words
    set -- $(printf '%s\n' "$facts" | sed -n 's/^is //p')
    [ $# = 8 ] || return 0
    why=""
    case $1.$2 in
        3.11 | 3.12 | 3.13 | 3.14) ;;
        *) why="is Python $1.$2" ;;
    esac
    [ "$1.$2.$3" != 3.14.1 ] || why="is Python 3.14.1, which torchvision refuses: 3.14.2 is fine"
    [ "$4" = cpython ] || why="is $4, and PyTorch is for CPython"
    [ "$5" = 64 ] || why="is a $5-bit build, and PyTorch has 64-bit ones alone"
    [ "$6" = gil ] || why="is a free-threaded build, on which the kit was never tried"
    [ "$7" = glibc ] || why="is built with musl, as on Alpine, and PyTorch needs a Linux with glibc"
    case $why,$8 in
        ,none) ;;
        ,ensurepip* | ,venv*)
            why="cannot make virtual environments. On Debian and Ubuntu: apt install python$1.$2-venv" ;;
        ,*) why="was built without $8. Install the libraries for that (such as libsqlite3-dev), then build it again" ;;
    esac
}

# places NAME: the folders in which a Python of that name may be, each followed by a colon: those of PATH, then pyenv's.
places() {
    kept=""
    case $1 in
        python3.*) kept=$(pyenv prefix "${1#python}" 2>/dev/null </dev/null) || kept="" ;;
    esac
    printf '%s' "${PATH:-}:${kept:+$kept/bin:}"
}

# Sets `found` to the first fit Python, and adds to `seen` what is wrong with those before it.
search() {
    found="" seen=""
    for name in $candidates; do
        rest=$(places "$name")
        while [ -n "$rest" ]; do
            file=${rest%%:*}/$name rest=${rest#*:}
            [ -f "$file" ] && [ -x "$file" ] || continue
            judge "$file" $to_make_one $to_run
            if [ -z "$why" ]; then
                found=$file
                return
            fi
            seen="$seen${seen:+
}  $file $why"
        done
    done
}

ways() {
    echo "Two ways to get Python $best, without root:"
    echo "  uv venv --python $best $venv && make $goal"
    echo "  pyenv install $best && make PYTHON=\"\$(pyenv prefix $best)/bin/python\" $goal"
}

if [ -e "$venv/bin/python" ] || [ -L "$venv/bin/python" ]; then
    judge "$venv/bin/python" $to_run
    if [ -n "$why" ]; then
        echo "$venv/bin/python $why. fcoskit needs Python 3.11 to 3.14: remove $venv, then make $goal again."
        exit 1
    fi >&2
    [ -z "$python" ] || echo "$venv is there and stays as it is. For one of another Python: make clean, or VENV=..."
elif [ -n "$python" ]; then
    judge "$python" $to_make_one $to_run
    if [ -n "$why" ]; then
        echo "$python $why. fcoskit needs Python 3.11 to 3.14, best $best."
        ways
        exit 1
    fi >&2
    "$python" -m venv "$venv" || exit 1
else
    search
    if [ -z "$found" ]; then
        echo "fcoskit needs Python 3.11 to 3.14, best $best, and there is none on PATH${seen:+ that is fit:
}${seen:-.}"
        ways
        exit 1
    fi >&2
    echo "Making $venv with $found."
    "$found" -m venv "$venv" || exit 1
fi

# uv makes environments without pip.
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null || {
    echo "$venv has no pip, and none can be put there: remove $venv, then make $goal again." >&2
    exit 1
}
