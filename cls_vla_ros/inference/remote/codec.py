"""Messages as openpi's server and client speak them: msgpack, with arrays as its msgpack_numpy.

Source: github.com/Physical-Intelligence/openpi, packages/openpi-client, msgpack_numpy.py (0.1.2).
What comes is not believed: types, sizes and shapes are checked before memory is taken for them,
and there is no pickle.
"""

import math

import msgpack
import numpy as np

KINDS = "biuf"  # of numpy dtypes that are numbers
MAX_DIMENSIONS = 8
MAX_ITEMS = 1000  # of a map or an array
MAX_TEXT = 10_000  # bytes of a string


class MessageError(ValueError):
    """Bytes that are no message; the text says what is wrong with them."""


def pack(message: dict) -> bytes:
    """A message as bytes.

    Args:
        message: of numbers, texts, bytes, None, lists, dictionaries, and arrays of numbers.

    Raises:
        TypeError: it holds something else.
    """
    return msgpack.packb(message, default=_to_map)


def unpack(data: bytes) -> dict:
    """The message in the bytes; its arrays are views of them, and read-only.

    Raises:
        MessageError: there is none.
    """
    try:
        message = msgpack.unpackb(
            data,
            object_hook=_from_map,
            strict_map_key=True,
            max_map_len=MAX_ITEMS,
            max_array_len=MAX_ITEMS,
            max_str_len=MAX_TEXT,
        )
    except MessageError:
        raise
    except RecursionError:
        raise MessageError("the message is nested too deeply") from None
    except Exception as error:  # msgpack's have no common base
        raise MessageError(
            f"the {len(data)} bytes are no message in msgpack: "
            f"{type(error).__name__} {str(error)[:200]}"
        ) from None
    if not isinstance(message, dict):
        raise MessageError(f"expected a map of names to values, got {type(message).__name__}")
    if odd := [key for key in message if not isinstance(key, str)]:
        raise MessageError(f"the names must be text, got {str(odd[0])[:50]!r}")
    return message


def _to_map(value: object) -> object:
    if isinstance(value, np.ndarray) and value.dtype.kind in KINDS:
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    if isinstance(value, np.generic) and value.dtype.kind in KINDS:
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"{type(value).__name__} cannot be sent: expected numbers, texts, arrays")


def _from_map(value: dict) -> object:
    if b"__ndarray__" in value:
        return _array(value.get(b"data"), value.get(b"dtype"), value.get(b"shape"))
    if b"__npgeneric__" in value:
        number = value.get(b"data")
        if not isinstance(number, (bool, int, float)):
            raise MessageError(f"a numpy number holds {type(number).__name__}")
        return number
    return value


def _array(data: object, dtype: object, shape: object) -> np.ndarray:
    try:
        kind = np.dtype(dtype) if isinstance(dtype, str) and len(dtype) < 9 else None
    except (TypeError, ValueError):
        kind = None
    if kind is None or kind.kind not in KINDS or kind.subdtype is not None:
        raise MessageError(f"an array has the dtype {str(dtype)[:20]!r}: expected one of numbers")
    if not (
        isinstance(shape, (list, tuple))
        and len(shape) <= MAX_DIMENSIONS
        and all(type(n) is int and 0 <= n < 2**31 for n in shape)
    ):
        raise MessageError(f"an array has the shape {str(shape)[:50]}: expected whole numbers")
    needed = math.prod(shape) * kind.itemsize
    if not isinstance(data, bytes) or len(data) != needed:
        got = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
        raise MessageError(f"an array {list(shape)} {kind} needs {needed} bytes, got {got}")
    return np.frombuffer(data, kind).reshape(shape)
