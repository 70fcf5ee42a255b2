import pytest

from components.detection.options import DecoderOptions, DetectorOptions
from components.errors import ReleaseError
from components.pusher.manifest import CodeRecord
from components.yaml_text import render_yaml
from pipeline.prediction.released_network import read_network

CODE = CodeRecord(version="0.3.1", commit="0123456789abcdef", dirty=False, repository=None, lock_sha256=None)
DETECTOR = DetectorOptions(extra_filters=(64,), match_iou=0.4)


@pytest.fixture
def write(tmp_path):
    def write(**of_detector):
        detector = DETECTOR.model_dump(mode="json") | of_detector
        tree = {
            "run": {"root": "runs/a", "beam_pipeline_args": ["--direct_num_workers=2"]},
            "trainer": {"backbone": "mobilenet_v2", "unheard_of": 1, "detector": detector},
            "release": {"decoder": DecoderOptions(min_score=0.1).model_dump(mode="json"), "gone": True},
        }
        (tmp_path / "config.yaml").write_text(render_yaml(tree))
        return tmp_path

    return write


def test_read_network_of_a_config_with_keys_that_no_longer_are_gives_what_it_states(write):
    backbone, network, decoder = read_network(write(), CODE)
    assert (backbone, network, decoder) == ("mobilenet_v2", DETECTOR.network, DecoderOptions(min_score=0.1))


def test_read_network_that_is_stated_otherwise_is_refused_with_the_version_that_made_it(write):
    with pytest.raises(ReleaseError, match=r"by vww 0.3.1, commit 0123456789ab, .* detector.towers: ") as caught:
        read_network(write(towers=3), CODE)
    assert "the version that made the release" in caught.value.hint


def test_read_network_of_a_config_without_a_detector_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("trainer: {backbone: mobilenet_v1}")
    with pytest.raises(ReleaseError, match="cannot read its detector: KeyError: 'detector'"):
        read_network(tmp_path, CODE)
