"""Networks in files: exported ones of ours, and those of other programs.

They are run by ONNX Runtime or LiteRT, without PyTorch.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from synthstudio.core.arrays import F64, U8, Array
from synthstudio.core.errors import DeviceError, ModelError, RecipeError, import_extra
from synthstudio.core.safe_files import UNREADABLE
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton, get_skeleton
from synthstudio.core.threads import CPU_BATCH, threads_allowed
from synthstudio.inference.predict import CropPredictions

FORMAT = "synthstudio pose network 2"
SUFFIX, TFLITE = ".onnx", ".tflite"
_MAX_BYTES = 2**31
_OUTPUTS = {"joints": (2,), "score": ()}
_MORE = {"present": (), "visibility_fractions": (4,), "expected_oks": ()}


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxModel:
    """An exported network for crops of `size` (H, W) of people of a `skeleton`."""

    session: Any
    name: str
    size: tuple[int, int]
    skeleton: Skeleton
    flip: bool

    @classmethod
    def load(
        cls, file: Path | bytes, *, where: str = "", device: str = "auto", threads: int = 0
    ) -> Self:
        """Load a file of `synthstudio export-model`, or its bytes (named `where` in errors).
        `threads` of an operator; 0: `threads_allowed`, else one per core. ModelError for another or
        damaged file; DeviceError when the runtime lacks the device."""
        where = where or str(file)
        session, facts = open_session(
            file, what="pose network", form=FORMAT, where=where, device=device, threads=threads
        )
        size, skeleton = stated_size(facts, where), _skeleton(facts, where)
        _check_ports(session, size, len(skeleton.joints), where)
        return cls(
            session=session,
            name=str(facts.get("name", "")),
            size=size,
            skeleton=skeleton,
            flip=facts.get("flip_test") == "true",
        )

    def run(self, images: Array) -> dict[str, Array]:
        """The file's outputs by name for images (B, 3, H, W)."""
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, {"images": images}), strict=True))

    def __call__(self, crops: U8) -> CropPredictions:
        """Predict crops (B, H, W, 3); ModelError for outputs that are not finite."""
        on_gpu = "CUDAExecutionProvider" in self.session.get_providers()
        if on_gpu or len(crops) <= CPU_BATCH:
            return self._answers(crops)
        parts = [self._answers(crops[k : k + CPU_BATCH]) for k in range(0, len(crops), CPU_BATCH)]
        names = [field.name for field in fields(CropPredictions)]
        return CropPredictions(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})

    def _answers(self, crops: U8) -> CropPredictions:
        images: Array = np.ascontiguousarray(crops.transpose(0, 3, 1, 2))
        if self.session.get_inputs()[0].type == "tensor(float)":
            images = images.astype(np.float32) / 255
        found = {name: np.asarray(value, np.float64) for name, value in self.run(images).items()}
        if not all(np.isfinite(value).all() for value in found.values()):
            raise ModelError("the network's outputs are not finite", got="NaN or infinity")
        joints = found["joints"].shape[:2]

        def output_or_nan(name: str) -> F64:
            return found.get(name, np.full((*joints, *_MORE[name]), np.nan))

        return CropPredictions(
            xy=found["joints"],
            score=found["score"],
            visibility_fractions=output_or_nan("visibility_fractions"),
            quality=output_or_nan("expected_oks"),
            present=output_or_nan("present"),
            peaks=np.zeros((*joints, 0, 3)),
        )


def open_session(
    file: Path | bytes, *, what: str, form: str, where: str, device: str, threads: int
) -> tuple[Any, dict[str, str]]:
    """ONNX Runtime's session of a file (external data is not read) and its metadata. ModelError
    unless its format is `form` ("": any); DeviceError when the runtime lacks the device."""
    runtime = import_extra("onnxruntime", extra="predict")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or threads_allowed()
    providers = _providers(runtime, device)
    data = file if isinstance(file, bytes) else read_model(file)
    try:
        session = runtime.InferenceSession(data, options, providers=providers)
        facts = dict(session.get_modelmeta().custom_metadata_map)
    except Exception as error:  # no common error class
        raise ModelError(
            "ONNX Runtime cannot load this file",
            where=where,
            got=str(error).splitlines()[0][:200],
            then="Export it again: synthstudio export-model RUN --out FILE.",
        ) from error
    if form and facts.get("format") != form:
        raise ModelError(
            f"not a {what} of synthstudio",
            where=where,
            expected=form,
            got=facts.get("format", "no metadata"),
            then="Export one: synthstudio export-model RUN --out FILE; or pass its kind, if "
            "supported: evaluate --as.",
        )
    return session, facts


def read_model(path: Path) -> bytes:
    """The bytes of a network's file; ModelError."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelError("this file is too large for a network", where=str(path))
        return path.read_bytes()
    except UNREADABLE as error:
        raise ModelError("the model cannot be read", where=str(path), got=str(error)) from error


def _providers(runtime: Any, device: str) -> list[str]:
    cuda, cpu = "CUDAExecutionProvider", "CPUExecutionProvider"
    has_cuda = cuda in runtime.get_available_providers()
    if device == "cuda" and not has_cuda:
        raise DeviceError(
            "this ONNX Runtime has no CUDA",
            expected=cuda,
            got=", ".join(runtime.get_available_providers()),
            then="Install onnxruntime-gpu, or omit --device cuda.",
        )
    return [cuda, cpu] if has_cuda and device != "cpu" else [cpu]


def stated_size(facts: dict[str, str], where: str) -> tuple[int, int]:
    """The input's (H, W) in a file's metadata; ModelError without it."""
    try:
        height, width = json.loads(facts.get("size", "null"))
        if type(height) is int and type(width) is int and 0 < min(height, width) < 2**14:
            return height, width
    except (ValueError, TypeError, RecursionError):
        pass
    raise ModelError(
        "the ONNX file's metadata lack the input size",
        where=where,
        expected="[height, width]",
        got=facts.get("size", "nothing")[:80],
    )


def _skeleton(facts: dict[str, str], where: str) -> Skeleton:
    name = facts.get("skeleton", "")
    try:
        skeleton = get_skeleton(name)
    except RecipeError:
        skeleton = None
    if skeleton is None or facts.get("joints") != json.dumps(skeleton.joints):
        raise ModelError(
            "the ONNX file has an unknown skeleton",
            where=where,
            expected=", ".join([*SKELETONS, *FOREIGN]),
            got=name[:80] or "nothing",
        )
    return skeleton


def _check_ports(session: Any, size: tuple[int, int], joints: int, where: str) -> None:
    inputs = {i.name: (i.type, i.shape) for i in session.get_inputs()}
    kind, shape = inputs.get("images", ("", []))
    fits = set(inputs) == {"images"} and kind in ("tensor(uint8)", "tensor(float)")
    fits &= list(shape[1:]) == [3, *size]
    outputs = {o.name: o.shape for o in session.get_outputs()}
    for name, more in (_OUTPUTS | _MORE).items():
        if name in outputs or name in _OUTPUTS:
            fits &= list(outputs.get(name, []))[1:] == [joints, *more]
    if not fits:
        raise ModelError(
            "the ONNX file's inputs and outputs contradict its metadata",
            where=where,
            expected=f"images (B, 3, {size[0]}, {size[1]}), joints (B, {joints}, 2), ...",
            got=f"{inputs}, {outputs}"[:200],
        )


@dataclass(frozen=True, kw_only=True)
class FileModel:
    """An opened file with one input. `shape`: of the input, 0 for free axes; `dtype`: NumPy's
    name; `run`: the input to its outputs by name; `facts`: its metadata."""

    where: str
    shape: tuple[int, ...]
    dtype: str
    run: Callable[[Array], dict[str, Array]]
    facts: Mapping[str, str]

    def refuse(self, expected: str, got: Any) -> ModelError:
        """The error for unexpected inputs or outputs."""
        return ModelError(
            "the file is another kind of network",
            where=self.where,
            expected=expected,
            got=str(got)[:200],
            then="Name its kind: ultralytics, rtmpose, movenet, mediapipe, vitpose or onnx.",
        )

    def planar_size(self) -> tuple[int, int]:
        """(H, W) of an input (B, 3, H, W); ModelError for another."""
        if len(self.shape) != 4 or self.shape[1] != 3 or min(self.shape[2:]) < 1:
            raise self.refuse("an input (B, 3, H, W) of a fixed size", self.shape)
        return self.shape[2], self.shape[3]

    def square_size(self) -> int:
        """N of an input (1, N, N, 3); ModelError for another."""
        size = self.shape[1] if len(self.shape) == 4 else 0
        if self.shape[1:] != (size, size, 3) or size < 1:
            raise self.refuse("an input (1, N, N, 3)", self.shape)
        return size


def open_model(path: Path, device: str) -> FileModel:
    """Open a .onnx or .tflite file; ModelError for a damaged one or several inputs."""
    if path.suffix == TFLITE:
        return _lite(path)
    if path.suffix != SUFFIX:
        raise ModelError("unknown kind of file", where=str(path), expected=f"{SUFFIX} or {TFLITE}")
    session, facts = open_session(
        path, what="pose network", form="", where=str(path), device=device, threads=0
    )
    inputs = session.get_inputs()
    names = [output.name for output in session.get_outputs()]

    def run(value: Array) -> dict[str, Array]:
        try:
            outputs = session.run(names, {inputs[0].name: value})
        except Exception as error:  # no common error class
            raise ModelError(
                "ONNX Runtime cannot run this file", where=str(path), got=str(error)[:200]
            ) from error
        return dict(zip(names, outputs, strict=True))

    dtype = inputs[0].type.removeprefix("tensor(").removesuffix(")")
    model = FileModel(
        where=str(path),
        shape=tuple(d if isinstance(d, int) else 0 for d in inputs[0].shape),
        dtype="float32" if dtype == "float" else dtype,
        run=run,
        facts=facts,
    )
    if len(inputs) != 1:
        raise model.refuse("one input", ", ".join(i.name for i in inputs))
    return model


def _lite(path: Path) -> FileModel:
    runtime = import_extra("ai_edge_litert.interpreter", extra="tflite")
    content = read_model(path)
    try:
        reader = runtime.Interpreter(model_content=content, num_threads=threads_allowed() or None)
        reader.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            "LiteRT cannot load this file", where=str(path), got=str(error)[:200]
        ) from error
    (first, *more), outputs = reader.get_input_details(), reader.get_output_details()

    def run(value: Array) -> dict[str, Array]:
        reader.set_tensor(first["index"], value)
        reader.invoke()
        return {o["name"]: reader.get_tensor(o["index"]) for o in outputs}

    dtype = np.dtype(first["dtype"]).name
    shape = tuple(map(int, first["shape"]))
    model = FileModel(where=str(path), shape=shape, dtype=dtype, run=run, facts={})
    if more:
        raise model.refuse("one input", len(more) + 1)
    return model
