"""The lists of VOC: made from annotations, written, read."""

import importlib.util
import json
from pathlib import Path

import pytest

from ps7_helpers.shapes import write_voc
from ps7_helpers.voc import make_list, read_annotation, read_list, write_list

SCRIPT = Path(__file__).parents[2] / "data_scripts" / "make_voc_lists.py"

XML = """<annotation><folder>VOC2007</folder>
<object><name>dog</name><difficult>0</difficult><bndbox><ymin>20</ymin><xmin>10</xmin><ymax>40</ymax><xmax>30.5</xmax>
</bndbox></object>
<object><name>cat</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object>
<object><name>person</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>
<part><name>head</name><bndbox><xmin>7</xmin><ymin>7</ymin><xmax>8</xmax><ymax>8</ymax></bndbox></part></object>
</annotation>"""


@pytest.fixture(scope="module")
def script():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("make_voc_lists", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("split", ["train", "val"])
def test_remakes_the_real_lists(shared_data, script, tmp_path, split):
    """From the real annotations the lists that came with them are made again."""
    root = shared_data("voc2007-mini")
    script.main([str(root), "--out", str(tmp_path), "--splits", split])
    made, given = (json.loads((p / f"voc07_{split}.json").read_text()) for p in (tmp_path, root))
    for _, objects in given:
        for entry in objects:
            entry.pop("part", None)  # heads, hands and feet, which nobody uses
    assert made == given


def test_remakes_the_lists_of_a_drawn_tree(script, tmp_path, capsys):
    """For a tree of drawn scenes the script writes the bytes that were there, and counts."""
    write_voc(tmp_path, train=5, val=3)
    before = {split: (tmp_path / f"voc07_{split}.json").read_bytes() for split in ("train", "val")}
    for split in before:
        (tmp_path / f"voc07_{split}.json").unlink()
    script.main([str(tmp_path)])
    assert {split: (tmp_path / f"voc07_{split}.json").read_bytes() for split in before} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["VOCdevkit", "voc07_train.json", "voc07_val.json"]
    boxes = sum(len(objects) for _, objects in json.loads(before["train"]))
    assert f"voc07_train.json: 5 images, {boxes} boxes" in capsys.readouterr().out


def test_script_without_data(script, tmp_path, capsys):
    """Without a VOC tree the script ends with a sentence and exit status 1, not with a traceback."""
    with pytest.raises(SystemExit) as stopped:
        script.main([str(tmp_path)])
    assert stopped.value.code == 1
    assert "train.txt is missing" in capsys.readouterr().err


def test_annotation(tmp_path):
    """Objects come in the order of the file, their tags in any order; parts are no objects."""
    (tmp_path / "1.xml").write_text(XML)
    objects = read_annotation(tmp_path / "1.xml")
    assert [(o.name, o.xyxy, o.difficult) for o in objects] == [
        ("dog", (10.0, 20.0, 30.5, 40.0), False),
        ("cat", (1.0, 2.0, 3.0, 4.0), True),
        ("person", (1.0, 2.0, 3.0, 4.0), False),
    ]


def test_list(tmp_path):
    """A list has all images in the order of the split file, also where no object is left."""
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("000009\n000002 \n\n")
    (tmp_path / "Annotations" / "000009.xml").write_text(XML)
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    hard = f"<a><object><name>cat</name><difficult>1</difficult>{box}</object></a>"
    (tmp_path / "Annotations" / "000002.xml").write_text(hard)
    listed = make_list(tmp_path, "train", relative_to=tmp_path)
    dog, person = (
        {"name": "dog", "xyxy": [10.0, 20.0, 30.5, 40.0]},
        {"name": "person", "xyxy": [1.0, 2.0, 3.0, 4.0]},
    )
    assert listed == [("JPEGImages/000009.jpg", [dog, person]), ("JPEGImages/000002.jpg", [])]
    write_list(listed, tmp_path / "list.json")
    assert read_list(tmp_path / "list.json") == listed
    assert [p.name for p in tmp_path.glob("list*")] == ["list.json"]


def test_older_lists(tmp_path):
    """Paths that begin with ./here/, as in older lists, are read without it."""
    (tmp_path / "list.json").write_text('[["./here/JPEGImages/1.jpg", []]]')
    assert read_list(tmp_path / "list.json") == [("JPEGImages/1.jpg", [])]


def test_a_list_cut_while_it_is_written(tmp_path, monkeypatch):
    """A kill in the middle of writing leaves no half list, and the one before as it was."""
    write = Path.write_text
    path = tmp_path / "list.json"

    def half(self, text, **options):
        write(self, text[: len(text) // 2], **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "write_text", half)
        write_list([("1.jpg", [])], path)
    assert not path.exists()
    write_list([("1.jpg", [])], path)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "write_text", half)
        write_list([("2.jpg", [])], path)
    assert read_list(path) == [("1.jpg", [])]


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<annotation>", "cannot be read as a VOC annotation"),
        ("<a><object><bndbox/></object></a>", "no <name>"),
        ("<a><object><name>car</name></object></a>", "no <xmin>"),
        ("<a><object><name>car</name><bndbox><xmin>one</xmin></bndbox></object></a>", "'one'"),
    ],
)
def test_damaged_annotation(tmp_path, xml, message):
    """A damaged annotation is named, with what is wrong in it."""
    (tmp_path / "000001.xml").write_text(xml)
    with pytest.raises(ValueError, match=rf"000001\.xml.*{message}"):
        read_annotation(tmp_path / "000001.xml")
