# examples: programs of one's own on the installed library. tests/outside.sh builds and runs them.
EXTRA_DIST += %D%/outside/Makefile %D%/outside/README.md %D%/outside/parity.c
