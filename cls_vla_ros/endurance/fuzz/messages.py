"""Malformed and valid camera and joint messages, by kind, from a seed."""

import array
import math
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image, JointState

from cls_vla_ros.node.output.stamps import to_time
from cls_vla_ros.robot.observation.picture_size import PNG_START
from cls_vla_ros.robot.stamps import NS

JOINTS = ("joint0", "joint1", "joint2")
# sensor_msgs/image_encodings.hpp, with the bytes of a pixel.
COLOURS = {
    **{"rgb8": 3, "rgba8": 4, "rgb16": 6, "rgba16": 8, "bgr8": 3, "bgra8": 4, "bgr16": 6},
    **{"bgra16": 8, "mono8": 1, "mono16": 2, "bayer_rggb8": 1, "bayer_rggb16": 2},
    **{"bayer_bggr8": 1, "bayer_bggr16": 2, "bayer_gbrg8": 1, "bayer_gbrg16": 2},
    **{"bayer_grbg8": 1, "bayer_grbg16": 2, "yuv422": 2, "yuv422_yuy2": 2, "uyvy": 2},
    **{"yuyv": 2, "nv21": 2, "nv24": 3},
}
DEPTHS = ((8, "U"), (8, "S"), (16, "U"), (16, "S"), (32, "S"), (32, "F"), (64, "F"))
ENCODINGS = COLOURS | {
    f"{bits}{kind}C{channels}": bits // 8 * channels
    for bits, kind in DEPTHS
    for channels in (1, 2, 3, 4)
}
STRINGS = (
    "",
    "RGB8",
    "rgb8 ",
    "8UC",
    "8UC0",
    "16UC99999999",
    "²U",
    "jpeg",
    "nv12",
    "\0",
    "色" * 300,
)
FORMATS = ("jpeg", "png", "", "rgb8; jpeg compressed bgr8", "16UC1; compressedDepth", "webp", "é",
           "16UC1; png compressed ")  # fmt: skip
SIZES = (0, 1, 2, 3, 47, 4096, 60_000, 2**16, 2**31, 2**32 - 1)
NUMBERS = (math.nan, math.inf, -math.inf, 1e300, -1e300, 3.5e38, 1e10, 5e-324, -0.0, 0.1)
NAMES = (*JOINTS, "", "other", "joint0 ", "關節", "j" * 5000)
Message = Image | CompressedImage | JointState


@dataclass(frozen=True)
class Case:
    """One message, and where it goes.

    Attributes:
        kind: how it was made.
        message: of the type that its source has.
    """

    kind: str
    message: Message


class Fuzzer:
    """Makes messages; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._pixels = np.random.default_rng(seed).integers(0, 256, 1 << 16, np.uint8).tobytes()
        picture = np.frombuffer(self._pixels, np.uint8, 30 * 40 * 3).reshape(30, 40, 3)
        smooth = cv2.resize(picture[:4, :4], (40, 30))
        progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
        self._files = [
            cv2.imencode(".jpg", smooth)[1].tobytes(),
            cv2.imencode(".jpg", picture, progressive)[1].tobytes(),
            cv2.imencode(".jpg", smooth[:, :, 0])[1].tobytes(),
            cv2.imencode(".png", smooth)[1].tobytes(),
            cv2.imencode(".png", smooth.astype(np.uint16) * 257)[1].tobytes(),
        ]
        self._kinds: dict[str, Callable[[], Message]] = {
            "image: valid": self._image,
            "image: size": self._image_size,
            "image: step": self._image_step,
            "image: data": self._image_data,
            "image: encoding": self._image_encoding,
            "image: several fields": self._image_several,
            "compressed: valid": self._compressed,
            "compressed: cut off": self._compressed_cut,
            "compressed: bits flipped": self._compressed_flipped,
            "compressed: format": self._compressed_format,
            "compressed: claims a size": self._compressed_bomb,
            "compressed: rubbish": self._compressed_rubbish,
            "joints: valid": self._joints,
            "joints: values": self._joints_values,
            "joints: lengths": self._joints_lengths,
            "joints: names": self._joints_names,
            "joints: thousands": self._joints_thousands,
        }

    def case(self) -> Case:
        """Another one; one in four has a stamp that no clock shows."""
        choose = self._random
        kind = choose.choice(list(self._kinds))
        if kind == "joints: thousands" and choose.random() < 0.95:  # they take long to make
            kind = "joints: names"
        message = self._kinds[kind]()
        message.header.stamp = self._stamp() if choose.random() < 0.25 else Time(sec=1)
        return Case(kind, message)

    def valid(self, kind: str) -> Message:
        """A message that must be accepted.

        Args:
            kind: one of those that end in "valid".
        """
        return self._image(("rgb8",)) if kind.startswith("image") else self._kinds[kind]()

    def _stamp(self) -> Time:
        choose = self._random
        return choose.choice(
            (
                Time(),
                Time(sec=-1),
                Time(sec=-(2**31), nanosec=NS - 1),
                Time(sec=2**31 - 1, nanosec=2**32 - 1),
                to_time(choose.randrange(-(2**31) * NS, 2**31 * NS)),
            )
        )

    def _bytes(self, count: int) -> array.array:
        repeated = self._pixels * (count // len(self._pixels) + 1)
        return array.array("B", repeated[:count])

    def _image(self, encodings=(*ENCODINGS, *COLOURS)) -> Image:
        choose = self._random
        encoding = choose.choice(encodings)
        height, width = 2 * choose.randrange(1, 25), 2 * choose.randrange(1, 33)
        step = width * ENCODINGS[encoding] + choose.choice((0, 0, 0, 4, 64))
        return Image(
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=choose.choice((0, 0, 1, 255)),
            step=step,
            data=self._bytes(height * step),
        )

    def _image_size(self) -> Image:
        message = self._image()
        for field in self._random.sample(("height", "width"), self._random.randrange(1, 3)):
            setattr(message, field, self._random.choice(SIZES))
        return message

    def _image_step(self) -> Image:
        message = self._image()
        near = message.step + self._random.randrange(-4, 5)
        message.step = max(0, self._random.choice((*SIZES, near, near)))
        return message

    def _image_data(self) -> Image:
        message = self._image()
        length = len(message.data)
        lengths = (0, 1, length - 1, length + 1, 2 * length, self._random.randrange(length))
        message.data = self._bytes(self._random.choice(lengths))
        return message

    def _image_encoding(self) -> Image:
        message = self._image()
        message.encoding = self._random.choice((*STRINGS, *ENCODINGS))
        return message

    def _image_several(self) -> Image:
        message, choose = self._image(), self._random
        message.height, message.width = (choose.randrange(0, 70) for _ in range(2))
        message.step = choose.randrange(0, 400)
        message.encoding = choose.choice((*STRINGS, *ENCODINGS))
        message.data = self._bytes(choose.randrange(0, 30_000))
        return message

    def _compressed(self, data: bytes | None = None) -> CompressedImage:
        data = self._random.choice(self._files) if data is None else data
        return CompressedImage(
            format=self._random.choice(FORMATS[:4]), data=array.array("B", data)
        )

    def _compressed_cut(self) -> CompressedImage:
        data, choose = self._random.choice(self._files), self._random
        cut = data[: choose.randrange(len(data))]
        if choose.random() < 0.5:  # as if it were whole
            cut += choose.choice((b"\xff\xd9", bytes(100), data[-12:], data[-40:]))
        return self._compressed(cut)

    def _compressed_flipped(self) -> CompressedImage:
        data, choose = bytearray(self._random.choice(self._files)), self._random
        header = choose.random() < 0.5  # that is where decoders are led astray
        for _ in range(choose.choice((1, 1, 2, 8, 64))):
            at = choose.randrange(min(200, len(data)) if header else len(data))
            data[at] = choose.choice((data[at] ^ 1 << choose.randrange(8), 0, 255))
        return self._compressed(bytes(data))

    def _compressed_format(self) -> CompressedImage:
        message = self._compressed()
        message.format = self._random.choice((*FORMATS, *STRINGS))
        return message

    def _compressed_bomb(self) -> CompressedImage:
        height, width = (self._random.choice((*SIZES, 30_000, 65_500)) for _ in range(2))
        if self._random.random() < 0.5:
            return self._compressed(jpeg_claiming(self._files[0], height, width))
        return self._compressed(png_claiming(height, width))

    def _compressed_rubbish(self) -> CompressedImage:
        choose = self._random
        starts = (
            b"",
            b"\xff\xd8",
            PNG_START,
            b"BM",
            b"RIFF",
            b"II*\0",
            b"GIF89a",
            b"P6 9 9 255\n",
        )
        rubbish = self._bytes(choose.randrange(0, 2000)).tobytes()
        return self._compressed(
            choose.choice(starts) + rubbish + choose.choice((b"", b"\xff\xd9"))
        )

    def _joints(self) -> JointState:
        names = [*JOINTS, "other"]
        self._random.shuffle(names)
        return JointState(name=names, position=[self._random.uniform(-3, 3) for _ in names])

    def _joints_values(self) -> JointState:
        message = self._joints()
        for _ in range(self._random.randrange(1, 4)):
            message.position[self._random.randrange(4)] = self._random.choice(NUMBERS)
        return message

    def _joints_lengths(self) -> JointState:
        message = self._joints()
        for field in self._random.sample(("position", "velocity", "effort"), 2):
            setattr(message, field, [0.0] * self._random.randrange(0, 7))
        message.name = message.name[: self._random.randrange(0, 5)]
        return message

    def _joints_names(self) -> JointState:
        names = [self._random.choice(NAMES) for _ in range(self._random.randrange(0, 8))]
        return JointState(name=names, position=[0.0] * len(names))

    def _joints_thousands(self) -> JointState:
        count = self._random.choice((1000, 30_000))
        other = self._random.choice(("", "j" * 100, JOINTS[0]))
        names = [*JOINTS, *([other] * count)]
        return JointState(name=names, position=[0.0] * len(names))


def jpeg_claiming(jpeg: bytes, height: int, width: int) -> bytes:
    """The baseline JPEG with another size in its frame header."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + jpeg[at + 4 :]


def png_claiming(height: int, width: int) -> bytes:
    """A PNG with that size in a header that is intact, and 100 bytes of pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PNG_START + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
