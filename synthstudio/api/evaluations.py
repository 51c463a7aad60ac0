"""`ss.Evaluation`: what `ss.evaluate` measured."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from synthstudio.api import arguments as args
from synthstudio.core.arrays import Array
from synthstudio.core.errors import ArgumentError, import_extra
from synthstudio.core.labels import CAUSES
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation import storage
from synthstudio.report.evaluation import pck_curve

if TYPE_CHECKING:
    from pandas import DataFrame

CURVES = ("by_fraction", "by_crowd")


class Plot(str):
    """An SVG drawing: a notebook shows it, `str(plot)` is its text."""

    def _repr_svg_(self) -> str:
        return str(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(storage.Evaluation):
    """Figures of a network on a data set. `about` describes both, `predictions` has one row a
    person, `folder` the page. `metrics` has one section per question; fractions are 0 to 1, an
    interval is a dict of `value`, `low` and `high` (95 %), a figure that cannot be measured NaN:

    - `counts`: people, joints with a label, hidden ones.
    - `places`: for `all`, `visible` and `hidden` joints PCK@0.05, PCK@0.1, PCK@0.2 (of the amodal
      box's longer side), PCK-AUC, PCKh@0.5, torso PCK@0.2, EPE_px (pixels of the image).
    - `precision`: AP, AP50, AP75 and AR by OKS, for all, visible and hidden joints; `beyond`: the
      same for joints outside the image (Ex-OKS).
    - `by_cause`, `by_joint`: PCK@0.1 by cause of occlusion and by joint.
    - `by_fraction`, `by_crowd`: bins (`from`, `to`, `people`) of PCK@0.1 over the occluded
      fraction of the person, and the crowd index of the frame.
    - `counterfactual`: the effect of an occluder on the same person.
    - `visibility`: F1 and AUROC of hidden joints, confusion of causes, calibration of scores.
    - `lifting`: MPJPE_mm, N-MPJPE_mm and PA-MPJPE_mm, root-relative.
    - `prior`: accuracy of guesses without the image.
    - `whole_body` (coco133), `latency`, `attention` and `sensitivity`, if measured.
    """

    @classmethod
    def load(cls, path: args.PathLike) -> Evaluation:
        """Read an evaluation's folder, or the only evaluation of a run.

        Raises:
            ModelError: when there is none, or it is damaged.
        """
        folder = storage.find(args.to_path(path, "path"))
        return cls(**{**vars(storage.read(folder)), "folder": folder})

    def to_pandas(self) -> DataFrame:
        """One row a joint: frame, instance, joint, x_px, y_px, true_x_px, true_y_px (pixels of the
        image), error_px, score (0 to 1), state, cause, occluded_fraction, variant.

        Raises:
            ModelError: without pandas: pip install "synthstudio[pandas]".
        """
        pandas = import_extra("pandas", extra="pandas")
        p = self.predictions
        joints = get_skeleton(self.about["skeleton"]).joints
        each: dict[str, Array] = {
            "frame": p.frame,
            "instance": p.instance,
            "occluded_fraction": p.fraction,
            "variant": p.variant,
        }
        columns = {name: np.repeat(value, len(joints)) for name, value in each.items()}
        columns["joint"] = np.tile(np.asarray(joints), len(p))
        for name, xy in (("", p.xy), ("true_", p.true_xy)):
            columns[f"{name}x_px"], columns[f"{name}y_px"] = xy.reshape(-1, 2).T
        columns["error_px"] = np.linalg.norm(p.xy - p.true_xy, axis=-1).ravel()
        columns |= {"score": p.score.ravel(), "known": p.known.ravel(), "state": p.state.ravel()}
        columns["cause"] = np.array(CAUSES)[p.cause.ravel()]
        return pandas.DataFrame(columns)

    @args.checked
    def plot(self, section: Annotated[str, args.Option(choices=CURVES)] = "by_fraction") -> Plot:
        """Draw PCK@0.1 of all, visible and hidden joints over `by_fraction` or `by_crowd` (SVG).

        Raises:
            ArgumentError: for another section.
        """
        return Plot(pck_curve(self.metrics, section)[0])

    def show(self) -> None:
        """Open the page with all figures and examples in the browser.

        Raises:
            ArgumentError: when the evaluation has no folder.
        """
        page = None if self.folder is None else Path(self.folder) / storage.PAGE_FILE
        if page is None or not page.is_file():
            raise ArgumentError("no report page", where="folder", got=str(page))
        webbrowser.open(page.resolve().as_uri())

    def __repr__(self) -> str:
        return f"Evaluation({str(self.folder)!r}, {len(self.predictions)} people)"

    def _repr_html_(self) -> str:
        return str(self.plot())
