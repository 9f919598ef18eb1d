"""Frames over a socket pair: whole ones arrive, anything else is an error of its own kind, in time."""

import json
import socket
import struct

import pytest
import safetensors.torch
import torch

from autograder.runtime.values import DTYPES, pack, unpack
from autograder.sandbox.inside import wire


@pytest.fixture
def line():
    """The grader's end and the worker's end of a line."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def _raw(text: bytes, blob: bytes = b"", *, json_length=None, blob_length=None) -> bytes:
    lengths = (len(text) if json_length is None else json_length, len(blob) if blob_length is None else blob_length)
    return struct.pack(">II", *lengths) + text + blob


def _blob(header: object, data: bytes = b"") -> bytes:
    """A safetensors file with a header that may be anything."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _received(line, data: bytes, **options):
    """Receive what a worker that then hangs up has sent."""
    ours, theirs = line
    theirs.sendall(data)
    theirs.shutdown(socket.SHUT_WR)
    return wire.receive(ours, **options)


def test_a_frame_arrives_as_it_was_sent(line):
    """Message and tensors, in order and with their dtypes."""
    ours, theirs = line
    tree, tensors = pack({"boxes": torch.arange(4.0), "labels": [torch.tensor([True]), 3]})
    wire.send(theirs, {"value": tree}, tensors)
    message, received = wire.receive(ours)
    value = unpack(message["value"], received)
    assert value["boxes"].tolist() == [0, 1, 2, 3] and value["labels"][0].tolist() == [True] and value["labels"][1] == 3


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3)])
def test_tensors_are_sent_as_safetensors_writes_them(line, name, shape):
    """Every dtype and shape, empty ones too, byte for byte as the library's own slow way."""
    ours, theirs = line
    _, tensors = pack([torch.ones(shape).to(DTYPES[name]), torch.ones(3)])
    wire.send(theirs, {}, tensors)
    blob = safetensors.torch.save({str(index): tensor for index, tensor in enumerate(tensors)})
    assert ours.recv(2**16)[8 + len(b"{}") :] == blob


def test_frames_follow_one_another(line):
    """Two frames sent at once are received one by one."""
    ours, theirs = line
    wire.send(theirs, {"op": "a"}, [torch.ones(1)])
    wire.send(theirs, {"op": "b"}, [])
    assert wire.receive(ours)[0] == {"op": "a"} and wire.receive(ours) == ({"op": "b"}, [])


def test_a_frame_in_small_pieces(line):
    """A frame may come byte by byte."""
    ours, theirs = line
    for byte in _raw(b'{"value": 1}'):
        theirs.sendall(bytes([byte]))
    assert wire.receive(ours) == ({"value": 1}, [])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"value"',
        b"7",
        b"\xff\xfe",
        b"[" * 20_000,
        b'{"a":' * 10_000,
        b'{"value": ' + b"1" * 5000 + b"}",
        b"\x80\x04\x95cos\nsystem\n",
    ],
    ids=["empty", "cut", "list", "null", "string", "number", "bytes", "deep", "deep dict", "digits", "pickle"],
)
def test_forged_messages_are_no_frames(line, text):
    """JSON that is none, is no object, is too deep or holds a monstrous number is refused as a frame."""
    with pytest.raises(wire.WireError, match="not a frame") as caught:
        _received(line, _raw(text))
    assert type(caught.value) is wire.WireError


@pytest.mark.parametrize(
    "blob",
    [
        b"x",
        b"\0" * 8,
        b"\xff" * 64,
        _blob([]),
        _blob({"0": None}),
        _blob({"0": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4),
        _blob({"0": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"\0" * 4),
        _blob({"0": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 4]}}, b"\0" * 4),
        _blob({"0": {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]}}),
        _blob({"0": {"dtype": "F32", "shape": [0, 2**63 - 1, 2], "data_offsets": [0, 0]}}),
        _blob({"0": {"dtype": "F128", "shape": [1], "data_offsets": [0, 16]}}, b"\0" * 16),
        _blob({"0": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"\0"),
        _blob({"0": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 2]}}, b"\0" * 2),
        _blob({"1": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
        _blob({"../0": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
        safetensors.torch.save({"0": torch.ones(4)})[:-4],
        safetensors.torch.save({"0": torch.ones(4)}) + b"more",
    ],
)
def test_forged_tensors_are_no_frames(line, blob):
    """A blob that safetensors would not have written is refused, whatever it makes the reader raise."""
    with pytest.raises(wire.WireError, match="not a frame"):
        _received(line, _raw(b"{}", blob))


def test_a_blob_of_too_many_tensors_is_refused(line, monkeypatch):
    """The list of names is bounded before anything is made of it."""
    monkeypatch.setattr(wire, "MAX_NAMES", 100)
    with pytest.raises(wire.WireError, match="not a frame"):
        _received(line, _raw(b"{}", safetensors.torch.save({str(i): torch.zeros(0) for i in range(9)})))


@pytest.mark.parametrize("cut", [0, 3, 8, 9, -1])
def test_a_worker_that_dies_in_the_middle_is_gone(line, cut):
    """Wherever a frame breaks off, the other side is gone, and no half of it is believed."""
    frame = _raw(b'{"value": 1}', safetensors.torch.save({"0": torch.ones(4)}))
    with pytest.raises(wire.WireGone):
        _received(line, frame[:cut])


def test_lengths_that_lie_run_into_the_end(line):
    """A frame that promises more than it holds is gone with its sender."""
    with pytest.raises(wire.WireGone):
        _received(line, _raw(b"{}", blob_length=100))


@pytest.mark.parametrize(
    "lengths", [{"json_length": wire.MAX_JSON + 1}, {"blob_length": 1025}, {"json_length": 2**32 - 1}]
)
def test_a_huge_frame_is_refused_before_it_is_read(line, lengths):
    """A length beyond the limit is refused at once: not a byte of the body is waited for."""
    ours, theirs = line
    theirs.sendall(_raw(b"{}", **lengths))
    with pytest.raises(wire.WireError, match="too large"):
        wire.receive(ours, max_bytes=1024)
    assert ours.recv(10) == b"{}"


def test_a_message_too_large_is_not_sent(line, monkeypatch):
    """A sender finds out itself, and nothing of the message leaves."""
    monkeypatch.setattr(wire, "MAX_JSON", 100)
    ours, theirs = line
    with pytest.raises(wire.WireError, match="too large"):
        wire.send(theirs, {"value": "x" * 100}, [])
    theirs.close()
    assert ours.recv(1) == b""


def test_who_waits_may_give_up(line):
    """Nothing is read before the waiting says so, even if there is a frame."""
    ours, theirs = line
    wire.send(theirs, {}, [])

    def give_up() -> None:
        raise wire.WireTimeout("enough")

    with pytest.raises(wire.WireTimeout):
        wire.receive(ours, give_up)
    assert wire.receive(ours) == ({}, [])


def test_each_piece_is_waited_for(line):
    """A worker that dribbles bytes is watched at each: header, text and blob come in pieces, and are whole."""
    ours, theirs = line
    theirs.sendall(_raw(b'{"value": 1}')[:10])
    pieces = iter([None, None, _raw(b'{"value": 1}')[10:]])

    def wait() -> None:
        if piece := next(pieces):
            theirs.sendall(piece)

    assert wire.receive(ours, wait) == ({"value": 1}, [])
    assert list(pieces) == []


def test_a_reader_that_does_not_read(line):
    """Sending to a side that never reads ends in a timeout, not in a wait without end."""
    ours, _ = line
    ours.setblocking(False)
    ours.settimeout(1e-9)
    with pytest.raises(wire.WireTimeout):
        wire.send(ours, {}, [torch.zeros(2**20)])


def test_a_message_that_is_too_deep_to_send(line):
    """What was just shallow enough to be read may be too deep to be handed on: an error of the line's own kind."""
    ours, _ = line
    deep: list = []
    for _turn in range(10**5):
        deep = [deep]
    with pytest.raises(wire.WireTooLarge):
        wire.send(ours, {"value": deep}, [])


def test_a_side_that_hung_up(line):
    """Sending to a side that is gone says so."""
    ours, theirs = line
    theirs.close()
    with pytest.raises(wire.WireGone):
        wire.send(ours, {"value": 1}, [])


@pytest.mark.parametrize(("tree", "text"), [("abcdef", "abc"), (None, ""), (["abc"], ""), ({"t": "str"}, ""), (1, "")])
def test_shorten_takes_text_only(tree, text):
    """A field that may be forged becomes a short string or nothing."""
    assert wire.shorten(tree, 3) == text
