"""microsock beside its peers: who spends how much of a processor, time and memory on the same work.

Run it by `python benchmarks/run.py http` or `websocket`; README.md in this folder tells the rest.
"""
