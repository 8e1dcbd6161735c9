"""Numbers and ramps over the denoising steps."""

import numpy as np
import numpy.typing as npt

from strata.hierarchy.ramp import Ramp

Mask = npt.NDArray[np.bool_]


def over_steps(value: float | Ramp, selected: Mask) -> npt.NDArray[np.float32]:
    """`float32[T]`: a number or ramp over the selected steps, 0 at the others.

    The ramp runs linearly in the step number from the first selected step to the last one, gaps included. With a
    single selected step, which is first and last at once, it is the mean of both ends.
    """
    values = np.zeros(len(selected), dtype=np.float32)
    chosen = np.flatnonzero(selected)
    if not len(chosen):
        return values
    if isinstance(value, Ramp):
        length = chosen[-1] - chosen[0]
        progress = (chosen - chosen[0]) / length if length else np.full(1, 0.5)
        values[chosen] = value.start + progress * (value.end - value.start)
    else:
        values[chosen] = value
    return values
