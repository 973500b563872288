"""benchmarks — what a request costs here and at our peers, measured in one run on one machine. `make bench`, `make bench QUICK=1`.

machine.py    cores, processes, CPU and memory       stores.py     the Valkey and the PostgreSQL that all of them use
peers/        one file a server: install, start, fill  browser.py    signing in with forms
workloads.py  what is asked for                       load.py, wrk/ the generator
report.py     medians, ratios, tables                 __main__.py   the order of things
"""
