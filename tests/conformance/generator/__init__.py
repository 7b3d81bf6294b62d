"""The parts of generate.py: each module generates one kind of conformance data."""
