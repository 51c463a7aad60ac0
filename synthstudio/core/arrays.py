"""Array types by dtype."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Bool = NDArray[np.bool_]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Intp = NDArray[np.intp]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
