"""The parts of generate.py: each module makes one kind of conformance data."""
