"""Completion scripts know every command and option, and no model is loaded to write them."""

from __future__ import annotations

import shutil

import pytest

from heliograph.cli.completion import SHELLS
from heliograph.cli.main import COMMANDS, main
from processes import run, run_python


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_every_command_and_its_options(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in script] == []
    assert all(option in script for option in ("max-tokens", "allow-host", "log-json"))


def test_bash_completes_commands_options_choices_and_files(tmp_path, capsys):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not there")
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "photo.jpg").touch()

    def completed(*words):
        line = " ".join(f"'{word}'" for word in words)
        asked = (
            f"source ./script; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
            '"$(complete -p heliograph | sed "s/.*-F \\([^ ]*\\).*/\\1/")"; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        return run((bash, "-c", asked), cwd=tmp_path, check=False).stdout.split()

    assert completed("heliograph", "enc") == ["encode"]
    assert completed("heliograph", "ask", "--tok") == ["--token-file"]
    assert completed("heliograph", "ask", "--region", "al") == ["always"]
    assert "photo.jpg" in completed("heliograph", "ask", "--token-file", "pho")


def test_no_model_is_loaded():
    script = (
        "import sys\nfrom heliograph.cli.main import main\nassert main(['completion', 'bash']) == 0\n"
        "found = {'torch', 'transformers', 'onnxruntime', 'PIL', 'starlette', 'matplotlib'} & set(sys.modules)\n"
        "print(found, file=sys.stderr)\nsys.exit(bool(found))"
    )
    done = run_python("-c", script, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_shell_is_refused(capsys):
    assert main(["completion", "sh"]) == 2
    assert "bash" in capsys.readouterr().err
