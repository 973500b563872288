"""benchmarks — what a request costs here and at our peers, measured in one run on one machine. `make bench`, `make bench QUICK=1`.

machine.py    cores, processes, CPU and memory        stores.py     the Valkey and the PostgreSQL that all of them use
peers/        one file a server: install, start, fill   browser.py    signing in with forms
workloads.py  what is asked for                        load.py, wrk/ the generator; openloop.py one that does not wait for answers
turns.py      rounds in turn, medians, ratios          fill.py       a million people, and what lives with them
stages/       the parts of a run, one file each        bench.py      what a stage is given and gives back
goals.py      what is to be reached                    report.py     the page, the record, and a comparison with the last one
"""
