"""What shell lines do to files where there is no shell."""

from __future__ import annotations

import pytest

from autograder.runtime.shell_files import run_shell


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
        *("pip install wandb", "ls", "mkdir", "cp nothing here", "mkdir a | tee b", "echo 'x' > y", "mkdir 'a"),
        *("mkdir a && git clone http://x/y", "mv a", "cat a.py", "cat < a <<EOF", "rm -rf /"),
    ],
)
def test_what_is_not_done_is_said(tmp_path, line):
    """Everything else does nothing, and is given back."""
    assert run_shell(line) == [line]
    assert not (tmp_path / "y").exists()
