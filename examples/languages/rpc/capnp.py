"""As much of Cap'n Proto's encoding as RPC takes: structs, lists, text and
pointers to capabilities, in messages of one segment or several.

https://capnproto.org/encoding.html
"""

import struct


class Capability(int):
    """An index into the table of capabilities beside a message's contents."""


class Struct:
    """A struct to be written: its data section, and what its pointers lead to.

    Each pointer is None, a Struct, a Capability, text, bytes, or a list of
    Structs that all have the same size.
    """

    def __init__(self, data=b"", *pointers):
        self.data = data.ljust(-(-len(data) // 8) * 8, b"\0")
        self.pointers = pointers


def encode(root):
    """The message with `root`, framed for a stream."""
    words = bytearray(8)
    put(words, 0, root)
    return struct.pack("<II", 0, len(words) // 8) + words


def put(words, at, value):
    """Writes the pointer at byte `at`, and what it leads to behind all else."""
    offset = (len(words) - at) // 8 - 1
    if value is None:
        return
    if isinstance(value, Capability):
        pointer = 3 | value << 32
    elif isinstance(value, Struct):
        pointer = offset << 2 & 0xFFFF_FFFC | shape(value) << 32
        body(words, [value])
    elif isinstance(value, list):
        size = shape(value[0])
        count = (size & 0xFFFF) + (size >> 16)
        pointer = 1 | offset << 2 | 7 << 32 | count * len(value) << 35
        words += struct.pack("<Q", len(value) << 2 | size << 32)
        body(words, value)
    else:
        text = value.encode() + b"\0" if isinstance(value, str) else value
        pointer = 1 | offset << 2 | 2 << 32 | len(text) << 35
        words += text.ljust(-(-len(text) // 8) * 8, b"\0")
    words[at : at + 8] = struct.pack("<Q", pointer)


def shape(value):
    return len(value.data) // 8 | len(value.pointers) << 16


def body(words, values):
    """Writes structs one after the other, then what they lead to."""
    starts = []
    for value in values:
        starts.append(len(words) + len(value.data))
        words += value.data + bytes(8 * len(value.pointers))
    for start, value in zip(starts, values):
        for index, pointer in enumerate(value.pointers):
            put(words, start + 8 * index, pointer)


def read(stream):
    """The root of the next message of a stream, or None at its end."""
    first = stream.read(4)
    if not first:
        return None
    count = int.from_bytes(first, "little") + 1
    table = stream.read(count * 4 + (count + 1) % 2 * 4)
    sizes = struct.unpack_from(f"<{count}I", table)
    return follow([stream.read(size * 8) for size in sizes], 0, 0)


class Reader:
    """A struct that was read. What it is too short for is zero, or None."""

    def __init__(self, segments, segment, start, data, pointers):
        self.segments, self.segment, self.start = segments, segment, start
        self.data, self.pointers = data, pointers

    def number(self, offset, size):
        """The unsigned number of `size` bytes at byte `offset`."""
        if offset + size > self.data * 8:
            return 0
        at = self.start + offset
        return int.from_bytes(self.segments[self.segment][at : at + size], "little")

    def __getitem__(self, index):
        """What the pointer leads to: None, a Reader, a Capability, bytes, or a
        list of Readers."""
        if index >= self.pointers:
            return None
        at = self.start + self.data * 8 + index * 8
        return follow(self.segments, self.segment, at)

    def text(self, index):
        return (self[index] or b"\0")[:-1].decode()


def follow(segments, segment, at):
    pointer = word(segments, segment, at)
    if pointer & 3 == 2:  # into another segment
        segment, landing = pointer >> 32, (pointer >> 3 & 0x1FFF_FFFF) * 8
        if not pointer & 4:
            return follow(segments, segment, landing)
        far, pointer = word(segments, segment, landing), word(segments, segment, landing + 8)
        segment, start = far >> 32, (far >> 3 & 0x1FFF_FFFF) * 8
    else:
        offset = (pointer & 0xFFFF_FFFF) >> 2
        start = at + 8 + (offset - (offset >> 29 << 30)) * 8
    if pointer == 0:
        return None
    if pointer & 3 == 3:
        return Capability(pointer >> 32)
    if pointer & 3 == 0:
        return Reader(segments, segment, start, pointer >> 32 & 0xFFFF, pointer >> 48)
    kind, count = pointer >> 32 & 7, pointer >> 35
    if kind == 2:
        return bytes(segments[segment][start : start + count])
    if kind != 7:
        raise ValueError("a list of what RPC has none of")
    tag = word(segments, segment, start)
    data, pointers = tag >> 32 & 0xFFFF, tag >> 48
    starts = (start + 8 + n * (data + pointers) * 8 for n in range((tag & 0xFFFF_FFFF) >> 2))
    return [Reader(segments, segment, start, data, pointers) for start in starts]


def word(segments, segment, at):
    return struct.unpack_from("<Q", segments[segment], at)[0]
