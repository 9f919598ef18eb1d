"""What shell lines do to files where there is no shell."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from autograder.runtime.shell_files import run_shell, shell_output


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_folders_are_made_and_modules_copied(tmp_path):
    """Several commands in a line, options left out, names with blanks."""
    assert run_shell("mkdir -p lib/inner 'My Drive' && touch lib/__init__.py; cp lib/__init__.py lib/inner") == []
    assert (tmp_path / "My Drive").is_dir() and (tmp_path / "lib" / "inner" / "__init__.py").is_file()
    assert run_shell("mv lib other\ncp -r other third") == []
    assert (tmp_path / "third" / "inner" / "__init__.py").is_file() and not (tmp_path / "lib").exists()


@pytest.mark.parametrize("head", ["cat > a.py <<EOF", "cat <<'EOF' > a.py", 'cat >a.py << "EOF"'])
def test_a_text_is_written_up_to_its_end(tmp_path, head):
    """As `cat` does with what stands in the cell; what follows is a command again."""
    assert run_shell(f"# a module\n{head}\nHALF = 0.5\n\nEOF\nmkdir b") == []
    assert (tmp_path / "a.py").read_text() == "HALF = 0.5\n\n" and (tmp_path / "b").is_dir()
    assert run_shell("cat >> a.py <<END\nONE = 1\nEND") == []
    assert (tmp_path / "a.py").read_text().endswith("\n\nONE = 1\n")


@pytest.mark.parametrize(
    "line",
    [
        *(
            "pip install wandb",
            "ls -la",
            "mkdir",
            "cp nothing here",
            "ls | wc > y",
            "echo $(date) | sort > y",
            "mkdir 'a",
        ),
        *(
            "mkdir a && git clone http://x/y",
            "mv a",
            "cat a.py",
            "cat < a <<EOF",
            "rm -rf /",
            "python -m http.server > y",
        ),
        *(
            "echo $HOME > y",
            'echo "`date`" > y',
            "mkdir a 2> y",
            "echo x 2>y 1>y",
            "sed -n s/a/b/p a",
            "sed -i s/a/b/w a",
            "printf %05.2f 3 > y",
            "echo x 2>&1 > y",
            "python nothing.py",
            "tee y",
        ),
    ],
)
def test_what_is_not_done_is_said(tmp_path, line):
    """Everything else does nothing, and is given back."""
    assert run_shell(line) == [line]
    assert not (tmp_path / "y").exists()


# Lines as notebooks have them, each after those before it.
LINES = [
    'echo "HALF = 0.5" > grids.py',
    "echo 'ONE = 1' >> grids.py",
    "echo -n no end > a.txt; cat grids.py a.txt > both.txt",
    r'echo -e "a = 1\n\tb = 2" > c.txt',
    r'printf "x = %s\n" 1 2 > d.txt',
    r"printf 'y = %d%%\n' 3 >> d.txt",
    'echo "seen" | tee e.txt',
    "echo more | tee -a e.txt",
    "cat grids.py e.txt",
    "sed -i 's/0.5/0.25/' grids.py",
    "sed -i 's|one|1+1 & 2|gi' grids.py",
    r"sed -i 's/\(HALF\) = \(.*\)/\2 == \1/' grids.py",
    "cat grids.py",
    "mkdir lib && ls",
    "pwd > where.txt",
    "echo x > /dev/null",
    "echo 2 > two.txt",
    "echo 'costs $5 > $4' > cost.txt",
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to compare with")
def test_files_and_prints_are_what_a_shell_would_make(tmp_path, monkeypatch):
    """Line after line, beside bash itself."""
    for kind in ("ours", "theirs"):
        (tmp_path / kind / "here").mkdir(parents=True)
    for line in LINES:
        monkeypatch.chdir(tmp_path / "ours" / "here")
        said = shell_output(line)
        command = ["bash", "-c", line]
        theirs = subprocess.run(command, cwd=tmp_path / "theirs" / "here", capture_output=True, text=True, check=True)
        assert said == theirs.stdout.splitlines(), line
        ours, other = (_files(tmp_path / kind) for kind in ("ours", "theirs"))
        assert ours == {name: text.replace("theirs", "ours") for name, text in other.items()}, line


def _files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() if p.is_file() else "/" for p in folder.rglob("*")}


def test_a_script_of_the_notebook_s_own_runs(tmp_path):
    """As a file that was written before, or as a text; in the folder of the notebook."""
    (tmp_path / "make.py").write_text("import sys\nopen('made.py', 'w').write('A = ' + sys.argv[1])\nprint('done')\n")
    assert shell_output("python make.py 3") == ["done"] and (tmp_path / "made.py").read_text() == "A = 3"
    assert shell_output("""python3 -c 'print(1 + 1)' > two.txt""") == [] and (tmp_path / "two.txt").read_text() == "2\n"
    assert shell_output("python -c 'raise SystemExit(3)'") is None
