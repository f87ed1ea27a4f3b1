"""The project's own JSON form of a push: the fields of `ImuChunk`, arrays as lists, units stated when they are others.

    {"device_id": "phone-1", "session": "2026-11-21T08:00", "seq": 7, "start_ns": 1790000000000000000, "rate_hz": 50,
     "acc": [[x, y, z], ...], "gyro": [[x, y, z], ...]}

`acc` is m/s² with gravity, or what "acc_unit": "g" says; `gyro` is rad/s, or "gyro_unit": "deg/s"; Android axes.  Instead of `rate_hz`
there may be `offsets_ns`, one per sample, counted from `start_ns`.  Optional: `placement`, `claimed_subject`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict

from streams.messages import ImuChunk

STANDARD_GRAVITY_MS2 = 9.80665
ACC_UNITS = {"m/s2": 1.0, "g": STANDARD_GRAVITY_MS2}
GYRO_UNITS = {"rad/s": 1.0, "deg/s": float(np.pi / 180)}


def _numbers(dtype: type[np.generic], ndim: int) -> BeforeValidator:
    def convert(value: Any) -> NDArray[Any]:
        if not isinstance(value, list):
            raise ValueError(f"a list of {'numbers' if ndim == 1 else '[x, y, z]'} is needed")
        try:
            array = np.array(value)
        except (ValueError, OverflowError):
            raise ValueError("the rows differ in length") from None
        if array.ndim != ndim or array.dtype.kind not in ("i" if dtype is np.int64 else "if"):
            raise ValueError(f"must hold {'whole ' if dtype is np.int64 else ''}numbers in {ndim} dimensions")
        return array.astype(dtype)

    return BeforeValidator(convert)


class PlainPush(BaseModel):
    """What this form may hold.  Lengths, names and times are checked by `ImuChunk`."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    device_id: Any
    session: Any = ""
    seq: Any
    start_ns: Any
    rate_hz: Any = None
    offsets_ns: Annotated[NDArray[Any], _numbers(np.int64, 1)] | None = None
    acc: Annotated[NDArray[Any], _numbers(np.float64, 2)]
    gyro: Annotated[NDArray[Any], _numbers(np.float64, 2)]
    acc_unit: Literal["m/s2", "g"] = "m/s2"
    gyro_unit: Literal["rad/s", "deg/s"] = "rad/s"
    placement: Any = ""
    claimed_subject: Any = None

    def chunk(self) -> ImuChunk:
        """The message.  Raises pydantic's ValidationError."""
        with np.errstate(over="ignore"):  # what no float32 holds becomes infinite, and is refused as such
            acc_N3 = (self.acc * ACC_UNITS[self.acc_unit]).astype(np.float32)
            gyro_N3 = (self.gyro * GYRO_UNITS[self.gyro_unit]).astype(np.float32)
        kept = {
            name: getattr(self, name) for name in ("device_id", "session", "seq", "start_ns", "rate_hz", "placement", "claimed_subject")
        }
        return ImuChunk(**kept, offsets_ns=self.offsets_ns, acc=acc_N3, gyro=gyro_N3)
