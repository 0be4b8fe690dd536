#!/usr/bin/env bash
# Set-up; `make setup` calls it. It looks before it installs, so a second call takes seconds.
#   envs/setup.sh         the tools and .venv
#   envs/setup.sh check   print the requirements that .venv lacks or that miss a file
#   envs/setup.sh lock    rewrite envs/requirements.txt from envs/requirements.in
# CONDA names a conda, mamba or micromamba; empty: the distribution's packages (envs/apt.txt).
set -euo pipefail
cd "$(dirname "$0")/.."
lock=envs/requirements.txt

say() { printf 'latere set-up: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# The first Python that is new enough; a broken .venv on the PATH does not count.
find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11 python3.14; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    die "Python 3.11 or newer is needed and was not found on the PATH. Install one, then run make again."
}

# Entries of the lock, each a package with its hashes; less what another way brings: rpy2 needs R,
# which is in its conda environment there.
#   requirements                    all of them
#   requirements NAME==VERSION ...  these
requirements() {
    awk -v without="${CONDA:+^rpy2}" -v only=" $* " '
        /^[^ ]/ {
            taken = !(without && $0 ~ without) && (only ~ /^ *$/ || index(only, " " $1 " "))
        }
        taken' "$lock"
}

# The same without hashes.
versions() { requirements "$@" | grep -o '^[^ #]*==[^ ]*'; }

# Lines of the lock whose package is absent, of another version, or misses a file.
damaged() {
    versions | .venv/bin/python -c '
import os, sys
from importlib import metadata

for line in sys.stdin:
    name, _, version = line.strip().partition("==")
    try:
        package = metadata.distribution(name)
        # A local version (2.13.0+cpu) says how it was built, not what it is.
        whole = package.version.split("+")[0] == version and all(
            file.suffix == ".pyc" or os.path.exists(file.locate()) for file in package.files
        )
    except (metadata.PackageNotFoundError, TypeError):
        whole = False
    if not whole:
        print(f"{name}=={version}")
'
}

# Packages of the distribution whose proof (second column of envs/apt.txt) is not there.
# What only builds rpy2 ("build:") is asked for while .venv has no rpy2; what only the tests use
# ("test:"), if TESTS is set and it can be had: Ubuntu has it as a snap only.
missing_tools() {
    local package proof
    [ -z "${CONDA:-}" ] || return 0
    while read -r package proof; do
        case $proof in
            "" | "#"*) continue ;;
            build:*) compgen -G '.venv/lib/python3*/site-packages/rpy2_rinterface*' || command -v "${proof#build:}" ;;
            test:*) [ -z "${TESTS:-}" ] || command -v "${proof#test:}" || [ "$(id -u)" != 0 ] || ! grep -qs '^ID=debian' /etc/os-release ;;
            R:*) Rscript -e "quit(status = !nzchar(system.file(package = '${proof#R:}')))" </dev/null ;;
            *) command -v "$proof" ;;
        esac >/dev/null 2>&1 || echo "$package"
    done < <(sed 's/^#.*//' envs/apt.txt)
}

# Debian and Ubuntu keep the venv module and the headers of their Python (rpy2 is built with them)
# in packages of their own.
missing_python() {
    "$1" -c '
import importlib.util, os, sys, sysconfig

name = "python%d.%d" % sys.version_info[:2]
conda = sys.argv[1]
if not importlib.util.find_spec("ensurepip"):
    print(name + "-venv")
if not conda and not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print(name + "-dev")
' "${CONDA:-}"
}

install_packages() {
    local packages=$*
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        die "these tools are missing: $packages
They are Debian and Ubuntu packages, which only root can install. Do one of these:
  1. apt-get install --no-install-recommends $packages   (as root, on Debian or Ubuntu)
  2. put conda on the PATH (Miniforge, for one): make then uses the environments in envs/
  3. put these programs on the PATH yourself: $(sed 's/^#.*//' envs/apt.txt | awk 'NF && !/test:/ {print $2}' | sed 's/.*://' | xargs)
Then run make again."
    fi
    say "installing $packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    # shellcheck disable=SC2086
    apt-get install -yq --no-install-recommends $packages >&2
}

# --use-pep517: else the pip of Debian 12 builds old packages in place, with a half installed .venv.
pip_install() {
    .venv/bin/python -m pip --disable-pip-version-check --quiet install --use-pep517 "$@" >&2
}

# Only files whose hash is in the lock. torch alone, by its version: its builds (CPU, CUDA) come
# from several places, each with hashes and further packages of its own.
#   install_entries NAME==VERSION ... [-- OPTION ...]
install_entries() {
    local entries=() torch=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        case $1 in torch==*) torch=("$1") ;; *) entries+=("$1") ;; esac
        shift
    done
    [ $# = 0 ] || shift
    [ ${#entries[@]} = 0 ] ||
        pip_install "$@" --no-deps --require-hashes -r <(requirements "${entries[@]}") || return 1
    [ ${#torch[@]} = 0 ] || pip_install "$@" -c <(versions) "${torch[@]}"
}

install_lock() {
    local broken
    # shellcheck disable=SC2046
    install_entries $(versions) || return 1
    broken=$(damaged)
    [ -z "$broken" ] || { say "pip reported no error, but .venv lacks" $broken; return 1; }
}

repair() {
    local broken=$*
    say "repairing .venv: $(wc -w <<<"$broken") packages ($(cut -c -60 <<<"$broken"))"
    # shellcheck disable=SC2086
    install_entries $broken -- --force-reinstall --no-deps && install_lock
}

build() {
    say "building .venv from $lock (some minutes)"
    rm -rf .venv
    if "$1" -m venv .venv && install_lock; then return; fi
    rm -rf .venv
    return 1
}

# Snakemake drives conda itself; mamba and micromamba can install it but not stand in for it.
setup_conda() {
    if ! command -v conda >/dev/null && [ ! -x .conda/bin/conda ]; then
        say "installing conda into .conda with $CONDA"
        "$CONDA" create --yes --quiet --prefix "$PWD/.conda" --override-channels \
            --channel conda-forge 'conda>=24.7.1' >&2
        echo 'channel_priority: strict' >.conda/.condarc
    fi
}

setup() {
    local python packages broken
    if [ -n "${CONDA:-}" ]; then setup_conda; fi
    # A .venv whose Python is gone, after an upgrade for one, is none.
    .venv/bin/python -c '' 2>/dev/null || rm -rf .venv
    packages=$(missing_tools)
    if [ ! -d .venv ]; then
        python=$(find_python)
        packages+=" $(missing_python "$python")"
    fi
    # shellcheck disable=SC2086
    if [ -n "${packages//[[:space:]]/}" ]; then install_packages $packages; fi
    if [ ! -d .venv ]; then
        build "$python" || die ".venv could not be built; the message above says why."
    else
        broken=$(damaged)
        # shellcheck disable=SC2086
        if [ -n "$broken" ] && ! repair $broken; then
            die ".venv could not be repaired; the message above says why. To rebuild it: rm -rf .venv, then make again."
        fi
    fi
}

write_lock() {
    local venv=.venv-lock python
    python=$(find_python)
    "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
        die "the lock is made with Python 3.11, the oldest that it must suit; $python is another."
    trap 'rm -rf .venv-lock' EXIT
    "$python" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet "$(grep -o '^torch==[0-9.]*' envs/requirements.in)"
    "$venv/bin/pip" install --quiet -r envs/requirements.in
    # Neither the build of torch (+cpu) nor what a CUDA build brings: both depend on the machine.
    # nvidia-ml-py is pure Python, and asked for.
    "$venv/bin/pip" freeze --all --exclude pip --exclude wheel |
        sed -E '/^nvidia-ml-py=/b; /^(nvidia|cuda|triton)/d; s/\+[a-z0-9.]+$//' >"$venv/lock"
    # The hash of each file of these versions, for any machine; uv resolves nothing here.
    "$venv/bin/pip" install --quiet uv
    "$venv/bin/uv" pip compile --quiet --python "$venv/bin/python" --no-deps --generate-hashes --no-header --no-annotate \
        --output-file "$venv/hashed" "$venv/lock"
    { echo '# Written by `make lock` from envs/requirements.in; .venv holds exactly this.'; cat "$venv/hashed"; } >"$lock"
}

case ${1:-setup} in
    setup) setup ;;
    check) damaged ;;
    lock) write_lock ;;
    *) die "unknown word: $1" ;;
esac
