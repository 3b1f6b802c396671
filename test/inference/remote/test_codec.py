import random

import msgpack
import numpy as np
import pytest
from openpi_client import msgpack_numpy

from cls_vla_ros.inference.remote.codec import MessageError, pack, unpack

MESSAGE = {
    "picture": np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
    "state": np.array([0.5, -1.5], np.float32),
    "empty": np.zeros((0, 3)),
    "flag": True,
    "nothing": None,
    "jpeg": b"\xff\xd8",
    "nested": {"dt": 0.1, "rows": [[1.0, 2.0]]},
}


@pytest.mark.parametrize(("pack_", "unpack_"), [(pack, unpack), (msgpack_numpy.packb, unpack)])
def test_what_is_packed_by_us_or_by_openpi_is_read(pack_, unpack_):
    read = unpack_(pack_(MESSAGE))
    assert read.keys() == MESSAGE.keys()
    for name in ("picture", "state", "empty"):
        assert read[name].dtype == MESSAGE[name].dtype
        np.testing.assert_array_equal(read[name], MESSAGE[name])
    for name in ("flag", "nothing", "jpeg", "nested"):
        assert read[name] == MESSAGE[name]


def test_openpi_reads_what_we_pack():
    read = msgpack_numpy.unpackb(pack(MESSAGE | {"number": np.float32(2.5)}))
    np.testing.assert_array_equal(read["picture"], MESSAGE["picture"])
    assert read["number"] == 2.5


def array(**changes) -> bytes:
    whole = {b"__ndarray__": True, b"data": b"\0" * 8, b"dtype": "<f4", b"shape": [2]}
    return msgpack.packb({"a": whole | {k.encode(): v for k, v in changes.items()}})


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\xc1", b"\x05", b"\x91" * 5000, msgpack.packb([1]), msgpack.packb({b"a": 1})),
        *(array(dtype="O"), array(dtype="V8"), array(dtype="U9999999"), array(dtype=5)),
        *(array(shape=[3]), array(shape=[-2]), array(shape=[2**40, 0]), array(shape="ab")),
        *(array(shape=[2.0]), array(shape=[1] * 9 + [2]), array(data="text"), array(data=None)),
        msgpack.packb({"a": {b"__npgeneric__": True, b"data": "x", b"dtype": "<f4"}}),
        msgpack.packb({"a": msgpack.ExtType(5, b"pickle")})[:-1],
        msgpack.packb(dict.fromkeys(map(str, range(2000)))),
    ],
)
def test_what_is_no_message_is_refused_in_words(data):
    with pytest.raises(MessageError, match=r"\w+ \w+"):
        unpack(data)


def test_nothing_but_a_refusal_comes_of_damaged_bytes():
    whole, chance = pack(MESSAGE), random.Random(0)
    refused = 0
    for _ in range(2000):
        data = bytearray(whole[: chance.randrange(1, len(whole) + 1)])
        for _ in range(chance.randrange(3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            unpack(bytes(data))
        except MessageError:
            refused += 1
    assert refused > 1000


def test_what_cannot_be_sent_is_said():
    with pytest.raises(TypeError, match="object cannot be sent"):
        pack({"a": object()})
