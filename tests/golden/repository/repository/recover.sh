# This example carries no recover.sh of its own.
