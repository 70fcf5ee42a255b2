import http.server
import subprocess
import sys
import threading
from pathlib import Path

import keras
import pytest

from components.errors import ConfigError, ModelError
from components.trainer import weights_file
from components.trainer.options import ALPHAS
from components.trainer.weights_file import (
    WeightsFormat,
    detect_format,
    fingerprint_weights,
    hash_weights,
    imagenet_url,
    local_weights,
)
from pipeline.config import read_config

HDF5_START = b"\x89HDF\r\n\x1a\n"
PAGE = b"<!DOCTYPE html><html>Sign in</html>"


def read(*overrides):
    return read_config("pipeline/configs/demo.yaml", ["data.annotations=a.json", "data.images=images", *overrides])


@pytest.fixture
def server():
    """A web server: `/weights.h5` gives HDF5's first bytes, `/page` a web page, a bucket's object the former."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            body = {
                "/weights.h5": HDF5_START,
                "/page": PAGE,
                "/download/storage/v1/b/bucket/o/some%2Fweights.h5": HDF5_START,
            }.get(path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize(
    ("backbone", "sides"), [("mobilenet_v1", (128, 160, 192, 224)), ("mobilenet_v2", (96, 128, 160, 192, 224))]
)
def test_imagenet_url_is_the_one_that_keras_applications_downloads(backbone, sides, monkeypatch):
    build = {"mobilenet_v1": keras.applications.MobileNet, "mobilenet_v2": keras.applications.MobileNetV2}[backbone]

    class AskedError(Exception):
        pass

    def refuse(name, url, **_):
        raise AskedError(url)

    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", refuse)
    alphas = [alpha for alpha in ALPHAS[backbone] if (backbone, alpha) != ("mobilenet_v2", 0.25)]
    for alpha in alphas:
        for side in sides if alpha == alphas[0] else sides[-1:]:
            with pytest.raises(AskedError) as asked:
                build((side, side, 3), alpha=alpha, include_top=False, weights="imagenet")
            assert imagenet_url(backbone, alpha, side) == str(asked.value)


@pytest.mark.parametrize(
    ("backbone", "alpha", "side", "rows"),
    [
        ("mobilenet_v1", 0.25, 96, 128),
        ("mobilenet_v2", 0.35, 100, 128),
        ("mobilenet_v2", 0.35, 300, 224),
        ("mobilenet_v2", 1.4, 96, 224),
    ],
)
def test_imagenet_url_other_side_takes_the_next_published_one(backbone, alpha, side, rows):
    assert f"_{rows}_" in imagenet_url(backbone, alpha, side)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["trainer.backbone=mobilenet_v2", "trainer.alpha=0.25", "trainer.initial_weights=imagenet"],
            r"trainer\.initial_weights: .*no imagenet weights for mobilenet_v2 at 0\.25",
        ),
        (
            ["trainer.initial_weights=imagenet", "trainer.initial_weights_range=0..1"],
            r"trainer\.initial_weights_range: imagenet's weights take -1\.\.1",
        ),
        (["trainer.initial_weights_range=0..2"], r"trainer\.initial_weights_range: "),
        (["trainer.initial_weights=''"], r"trainer\.initial_weights: "),
    ],
)
def test_config_weights_that_cannot_be_are_refused_by_key(overrides, message):
    with pytest.raises(ConfigError, match=message):
        read(*overrides)


def test_config_path_of_weights_becomes_absolute_and_other_places_stay(tmp_path, monkeypatch):
    config = str(Path("pipeline/configs/demo.yaml").absolute())
    monkeypatch.chdir(tmp_path)
    for given, kept in (
        ("some/weights.h5", str(tmp_path / "some/weights.h5")),
        ("imagenet", "imagenet"),
        ("gs://bucket/weights.h5", "gs://bucket/weights.h5"),
        ("null", None),
    ):
        options = read_config(config, ["data.annotations=a", "data.images=b", f"trainer.initial_weights={given}"])
        assert options.trainer.initial_weights == kept


def test_fingerprint_weights_follows_the_content_and_not_the_name(tmp_path):
    digests = {}
    for name, content in (("a.h5", b"1"), ("b.h5", b"1"), ("c.h5", b"2")):
        (tmp_path / name).write_bytes(HDF5_START + content)
        digests[name] = fingerprint_weights(read(f"trainer.initial_weights={tmp_path / name}").trainer, 96)
    assert digests["a.h5"] == digests["b.h5"] != digests["c.h5"]
    assert fingerprint_weights(read().trainer, 96) is None


def test_hash_weights_of_a_folder_changes_with_contents_and_names(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables/data").write_bytes(b"1")
    first = hash_weights(tmp_path)
    (tmp_path / "variables/data").write_bytes(b"2")
    second = hash_weights(tmp_path)
    (tmp_path / "variables/data").rename(tmp_path / "data")
    assert len({first, second, hash_weights(tmp_path)}) == 3


@pytest.mark.parametrize(
    ("location", "message"),
    [("nowhere/weights.h5", "does not exist"), ("ftp://host/weights.h5", "received ftp://host")],
)
def test_local_weights_that_are_nowhere_are_a_config_error(location, message):
    with pytest.raises(ConfigError, match=rf"trainer\.initial_weights: .*{message}"), local_weights(location):
        pass


def test_local_weights_of_a_url_are_there_for_as_long_as_the_context(server):
    with local_weights(f"{server}/weights.h5") as path:
        assert path.read_bytes() == HDF5_START
        assert detect_format(path, "x") == WeightsFormat.HDF5
    assert not path.exists()


def test_local_weights_of_a_bucket_are_downloaded(server, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server)
    with local_weights("gs://bucket/some/weights.h5") as path:
        assert path.read_bytes() == HDF5_START


@pytest.mark.parametrize("scheme", ["http", "gs"])
def test_local_weights_that_a_server_lacks_are_an_error_that_names_the_way_out(scheme, server, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server)
    location = f"{server}/absent.h5" if scheme == "http" else "gs://bucket/absent.h5"
    with pytest.raises(ModelError, match=r"cannot be downloaded: .*404") as caught, local_weights(location):
        pass
    assert "pass its path" in caught.value.hint


def test_fingerprint_weights_of_a_web_page_is_refused_before_the_run(server):
    options = read(f"trainer.initial_weights={server}/page").trainer
    with pytest.raises(ModelError, match="holds no weights: received 35 bytes") as caught:
        fingerprint_weights(options, 96)
    assert "web page" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"", "empty"),
        (b"\n  <html>", "web page"),
        (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x80\x02}q", "Keras first"),
    ],
)
def test_detect_format_of_what_holds_no_weights_says_what_it_is(content, hint, tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"{path} holds no weights: received {len(content)} bytes") as caught:
        detect_format(path, str(path))
    assert hint in caught.value.hint


def test_detect_format_goes_by_content_and_not_by_name(tmp_path):
    for name, content, expected in (("a.bin", HDF5_START, WeightsFormat.HDF5), ("b.h5", b"PK\x03\x04", "keras")):
        (tmp_path / name).write_bytes(content)
        assert detect_format(tmp_path / name, name) == expected
    with pytest.raises(ModelError, match=r"a folder without saved_model\.pb"):
        detect_format(tmp_path, "folder")
    (tmp_path / "saved_model.pb").touch()
    assert detect_format(tmp_path, "folder") == WeightsFormat.SAVED_MODEL


def test_vww_run_with_weights_that_are_missing_is_refused_before_the_data(tmp_path):
    run = subprocess.run(
        [
            *(sys.executable, "-c", "from pipeline.cli import main; main()", "run", "pipeline/configs/demo.yaml"),
            *("--set", f"run.root={tmp_path}", "--set", "data.annotations=absent.json", "--set", "data.images=absent"),
            *("--set", "trainer.initial_weights=absent.h5"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == ConfigError.exit_code
    assert "trainer.initial_weights:" in run.stderr
    assert "absent.h5 does not exist" in " ".join(run.stderr.split())


def test_weights_file_is_read_without_tensorflow():
    code = f"import sys, {weights_file.__name__}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
