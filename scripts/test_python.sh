#!/usr/bin/env bash
# Builds the Python wheel, installs it into new virtual environments and runs all Python tests
# against it. A second environment runs the tests again with the oldest other Python on the machine,
# 3.9 or later.
#
# usage: test_python.sh      $PYTHON is the interpreter (default: python3)
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
package=$here/bindings/python
work=$here/target/python
python=${PYTHON:-python3}
pip() { "$1" -m pip --disable-pip-version-check --quiet "${@:2}"; }

step() { echo "python: $1"; }

step "one wheel for every Python"
rm -rf "$work/wheels"
mkdir -p "$work"
"$python" -m venv "$work/venv"
main=$work/venv/bin/python
pip "$main" wheel --no-deps --wheel-dir "$work/wheels" "$package"
wheels=("$work"/wheels/*.whl)
case "${#wheels[@]} ${wheels[0]}" in
1\ *-py3-none-*.whl) ;;
*)
    echo "test_python.sh: expected one py3-none wheel, found: ${wheels[*]}" >&2
    exit 1
    ;;
esac
export PROJECTION_WHEEL=${wheels[0]}

install() { # INTERPRETER REQUIREMENT…
    pip "$1" install --force-reinstall --no-deps "$PROJECTION_WHEEL"
    pip "$1" install "$PROJECTION_WHEEL" "${@:2}"
}
install "$main" -r "$package/tests/requirements.txt"

cd "$package"
step "mypy --strict"
"$main" -m mypy --strict src
# Checks the types of the installed package, as users see them.
(cd tests/typed && "$main" -m mypy --strict --config-file= uses.py)

step "tests, $("$main" --version)"
"$main" -m pytest
cmp "$here/target/tests/rust_dump.txt" "$here/target/tests/python_dump.txt"

step "notebooks"
"$main" "$here/examples/notebooks/run.py"

# If pyenv manages the interpreters, make all of its versions available.
if command -v pyenv >/dev/null; then
    PYENV_VERSION=$(pyenv versions --bare | paste -sd:)
    export PYENV_VERSION
fi
version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
tested=$(version "$main")
for minor in 9 10 11 12 13 14; do
    other=python3.$minor
    if [ "3.$minor" != "$tested" ] && [ "$(version "$other")" = "3.$minor" ] &&
        "$other" -c 'import ensurepip, venv' 2>/dev/null; then
        step "tests, $("$other" --version)"
        "$other" -m venv "$work/venv-3.$minor"
        install "$work/venv-3.$minor/bin/python" pytest pandas
        "$work/venv-3.$minor/bin/python" -m pytest
        exit
    fi
done
step "no other Python 3.9 or later was found; tested with $tested only"
