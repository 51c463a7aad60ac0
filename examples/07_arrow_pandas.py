"""Analyse labels with Arrow and pandas: what hides which joint, and how often.

    python examples/07_arrow_pandas.py --dataset exports/first

Run 01_first_dataset.py first, or name a data set of your own.
"""

import argparse
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

import synthstudio as ss

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", type=Path, default=Path("exports/first"))
parser.add_argument("--out", type=Path, default=Path("exports/joints.parquet"))
args = parser.parse_args()

ds = ss.Dataset(args.dataset)

# Arrow: one row a person; only the named columns are read.
table = ds.to_arrow(["pose_family", "occluded_fraction", "truncated_fraction"])
hidden = table.filter(pc.field("occluded_fraction") > 0.3)
print(f"{hidden.num_rows} of {table.num_rows} people are hidden by more than 30 %")
print(table.group_by("pose_family").aggregate([("occluded_fraction", "mean")]).to_pandas())

# pandas: one row a person and joint.
people = ds.to_pandas(["instance", "state", "cause"])
people["joint"] = [list(ds.skeleton.joints)] * len(people)
joints = people.explode(["joint", "state", "cause"], ignore_index=True)
print(pd.crosstab(joints["joint"], joints["cause"], normalize="index").round(2))

# The same as columns of NumPy: P people, J joints, some hundred people at a time.
for batch in ds.people():
    share = batch.visible_share.mean()
    print(f"{len(batch)} people: {share:.0%} of the surface of all joints is visible")

ds_table = ds.to_arrow(["instance", "pose_family", "occluded_fraction", "state", "cause"])
pq.write_table(ds_table, args.out)  # for DuckDB, Polars, R ...
print(f"{ds_table.num_rows} rows in {args.out}")
