#!/bin/sh
# The rounds of chaos that make check plays: always the same ones, unless SEED or ROUNDS say otherwise.
SEED=${SEED:-1} ROUNDS=${ROUNDS:-30}
export SEED ROUNDS
exec "${SHELL:-sh}" "${top_srcdir:-.}/tests/chaos"
