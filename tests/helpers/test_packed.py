"""The packed data set: made from VOC's layout, fetched, unpacked, and read to the same items."""

import hashlib
import importlib.util
import json
import shutil
import tarfile
from pathlib import Path

import gdown
import pytest
import torch

from ps7_helpers import VOC2007Detection, download_packed_voc2007, write_voc
from ps7_helpers.packed import PACKED_FOLDER, lists_of, read_sizes, write_packed

ROOT = Path(__file__).parents[2]


def script(name):
    """A module of data_scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "data_scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Drawn scenes in VOC's layout, and the packed file made of them."""
    root = tmp_path_factory.mktemp("voc")
    write_voc(root, train=4, val=3)
    out = root / "packed.tar"
    script("pack_voc").main([str(root), "--out", str(out)])
    return root, out, hashlib.md5(out.read_bytes()).hexdigest()


@pytest.fixture
def unpacked(packed, tmp_path):
    """The packed file fetched into a folder."""
    download_packed_voc2007(tmp_path / "data", packed[2], url=packed[1].as_uri())
    return tmp_path / "data"


@pytest.mark.parametrize("split", ["train", "val"])
def test_same_items(packed, unpacked, split):
    """Boxes are those of the full images to the bit, pixels as far as JPEG goes, results lead back to the original."""
    whole, small = VOC2007Detection(packed[0], split), VOC2007Detection(unpacked, split)
    assert len(whole) == len(small)
    for (path, image, boxes), (other_path, other_image, other_boxes) in zip(whole, small, strict=True):
        assert Path(path).stem == Path(other_path).stem
        assert torch.equal(boxes, other_boxes)
        assert image.shape == other_image.shape
        assert (image - other_image).abs().mean() < 0.1  # in deviations: about five grey levels; the scenes are noisy
        assert whole.original_size(path) == small.original_size(other_path)
        assert torch.equal(whole.to_original(path, boxes[:, :4]), small.to_original(other_path, boxes[:, :4]))
        picture = small.original_image(Path(path).stem)
        assert picture.size == whole.original_size(path)


def test_real_images(shared_data, tmp_path):
    """Packed, real VOC keeps its boxes to the bit and its pixels to within three grey levels on average."""
    root = shared_data("voc2007-mini")
    out = tmp_path / "packed.tar"
    list(write_packed(root, lists_of(root), out, 224))
    download_packed_voc2007(tmp_path / "data", hashlib.md5(out.read_bytes()).hexdigest(), url=out.as_uri())
    whole, small = VOC2007Detection(root, "train"), VOC2007Detection(tmp_path / "data", "train")
    for index in range(8):
        (_, image, boxes), (_, other, other_boxes) = whole[index], small[index]
        assert torch.equal(boxes, other_boxes)
        assert (image - other).abs().mean() < 3 / 255 / 0.225


def test_there_already(packed, unpacked):
    """What is there is not fetched again; nothing but images and lists stays."""
    download_packed_voc2007(unpacked, packed[2], url="http://127.0.0.1:1/nothing")
    assert sorted(p.name for p in unpacked.iterdir()) == [PACKED_FOLDER, "voc07_train.json", "voc07_val.json"]


def test_cut_while_unpacking(packed, unpacked):
    """Without one of the lists the data set is not whole, and is fetched anew."""
    (unpacked / "voc07_val.json").unlink()
    download_packed_voc2007(unpacked, packed[2], url=packed[1].as_uri())
    assert len(VOC2007Detection(unpacked, "val")) == 3


def test_another_size(unpacked):
    """Images packed at another size than asked for are refused, with what to do."""
    with pytest.raises(ValueError, match=r"packed at 224 pixels.*image_size=224"):
        VOC2007Detection(unpacked, "train", image_size=320)


def test_damaged_sizes(unpacked):
    """A damaged file of sizes is named."""
    (unpacked / PACKED_FOLDER / "sizes.json").write_text("[1")
    with pytest.raises(ValueError, match=r"sizes\.json is damaged"):
        read_sizes(unpacked)


def test_same_bytes(packed, tmp_path):
    """Packing again gives the same file."""
    script("pack_voc").main([str(packed[0]), "--out", str(tmp_path / "again.tar")])
    assert (tmp_path / "again.tar").read_bytes() == packed[1].read_bytes()


def test_a_packing_that_fails(packed, tmp_path, capsys):
    """An image that cannot be read ends it with its name, and leaves no file behind."""
    root = tmp_path / "voc"
    write_voc(root, train=2, val=1)
    (root / "VOCdevkit/VOC2007/JPEGImages/000002.jpg").write_bytes(b"no picture")
    with pytest.raises(SystemExit) as caught:
        script("pack_voc").main([str(root), "--out", str(tmp_path / "out.tar")])
    assert caught.value.code == 1 and "000002.jpg" in capsys.readouterr().err
    assert not list(tmp_path.glob("out.tar*"))


def test_from_the_archive(packed, tmp_path, capsys):
    """Given the official archive, the script unpacks and packs; with another checksum it refuses."""
    archive = tmp_path / "voc.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(packed[0] / "VOCdevkit", arcname="VOCdevkit")
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    arguments = ["--archive", str(archive), "--out", str(tmp_path / "out.tar")]
    script("pack_voc").main([str(tmp_path / "data"), "--md5", md5, *arguments])
    assert f'PACKED_MD5 = "{packed[2]}"' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        script("pack_voc").main([str(tmp_path / "other"), *arguments])
    assert "is not the archive" in capsys.readouterr().err


def test_nothing_lands_outside(packed, tmp_path):
    """Of a packed file only images and lists are unpacked, links and ways out are not followed."""
    evil = tmp_path / "evil.tar"
    (tmp_path / "x").write_text("x")
    with tarfile.open(packed[1]) as good, tarfile.open(evil, "w") as tar:
        for member in good.getmembers():
            tar.addfile(member, good.extractfile(member))
        tar.add(tmp_path / "x", arcname="elsewhere.py")
        link = tarfile.TarInfo(f"{PACKED_FOLDER}/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    download_packed_voc2007(tmp_path / "data", hashlib.md5(evil.read_bytes()).hexdigest(), url=evil.as_uri())
    assert not (tmp_path / "data" / "elsewhere.py").exists()
    assert not (tmp_path / "data" / PACKED_FOLDER / "link.jpg").is_symlink()


def test_from_drive_alone(packed, tmp_path, monkeypatch):
    """Drive's quota without another source is an error that says what it is and when it ends."""

    def refuse(*, id, output, quiet, resume):
        raise gdown.exceptions.FileURLRetrievalError("Too many users have viewed or downloaded this file recently.")

    monkeypatch.setattr(gdown, "download", refuse)
    with pytest.raises(ConnectionError, match=r"quota .* used up.*24 hours.*download_voc2007.*ShapesD") as caught:
        download_packed_voc2007(tmp_path / "data", packed[2], drive_id="abc")
    assert "VOCdevkit" not in str(caught.value)  # which would not help: this call does not look there
    assert list((tmp_path / "data").iterdir()) == []
    with pytest.raises(ValueError, match="drive_id, its url"):
        download_packed_voc2007(tmp_path / "data", packed[2])


def test_older_lists(packed, tmp_path):
    """Lists whose paths begin with ./here/ are packed as others are."""
    root = tmp_path / "voc"
    shutil.copytree(packed[0], root)
    for split in ("train", "val"):
        path = root / f"voc07_{split}.json"
        path.write_text(json.dumps([[f"./here/{image}", o] for image, o in json.loads(path.read_text())]))
    script("pack_voc").main([str(root), "--out", str(tmp_path / "out.tar")])
    assert (tmp_path / "out.tar").read_bytes() == packed[1].read_bytes()


def test_packing_what_is_packed(unpacked, tmp_path, capsys):
    """Packed images are not packed again, which would take their sizes for the original ones; nothing is fetched."""
    with pytest.raises(SystemExit):
        script("pack_voc").main(
            [str(unpacked), "--archive", str(tmp_path / "nowhere.tar"), "--out", str(tmp_path / "o")]
        )
    assert "are packed already" in capsys.readouterr().err and not (tmp_path / "o").exists()
    with pytest.raises(ValueError, match="are packed already"):
        list(write_packed(unpacked, lists_of(unpacked), tmp_path / "o", 224))


def test_lists_of_the_packed_form(unpacked):
    """The lists have the usual form, with paths into the packed folder."""
    (path, objects), *_ = json.loads((unpacked / "voc07_train.json").read_text())
    assert path == f"{PACKED_FOLDER}/000001.jpg" and set(objects[0]) == {"name", "xyxy"}
