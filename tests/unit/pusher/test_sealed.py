import subprocess

from components.pusher.sealed import SEAL, render_sealed


def test_render_sealed_digest_is_what_grep_and_sha256sum_say(tmp_path):
    file = tmp_path / "manifest.json"
    file.write_text(render_sealed({"b": 1, "files": {"a": "ä"}, "z": [1.5, None]}))
    command = f"grep -v '^  \"{SEAL}\"' {file} | sha256sum"
    printed = subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout
    assert f'"{SEAL}": "{printed[:64]}"' in file.read_text()
