"""Damaged and hostile inputs, tens of thousands of them: a typed error or success, nothing else.

`python -m benchmarks.fuzz` runs cases and goes on where it was stopped; `--only TARGET:NUMBER`
runs one again. `cases.py` says what a case is, `mutate.py` how inputs are damaged, `targets/` what
is asked of them, `judge.py` what a fault is, `campaign.py` who runs what and what is kept.
"""
