"""How many threads libraries take that are begun inside and outside `one_thread`."""

import pytest

from synthstudio.core.threads import one_thread, threads_allowed
from synthstudio.inference.onnx_model import OnnxModel
from synthstudio.models.packaged import default_model


@pytest.mark.parametrize(
    ("stated", "allowed"), [(None, 0), ("3", 3), ("many", 0), ("", 0), ("9" * 9, 0), ("-1", 0)]
)
def test_the_environment_says_how_many_and_one_thread_is_one(monkeypatch, stated, allowed):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if stated is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", stated)
    assert threads_allowed() == allowed
    with pytest.raises(LookupError), one_thread():
        with one_thread():
            assert threads_allowed() == 1
        assert threads_allowed() == 1
        raise LookupError
    assert threads_allowed() == allowed


def test_onnx_runtime_takes_one_thread_there(monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")

    def threads() -> int:
        session = OnnxModel.load(default_model(), device="cpu").session
        return int(session.get_session_options().intra_op_num_threads)

    assert threads() == 2
    with one_thread():
        assert threads() == 1
