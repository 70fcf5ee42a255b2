"""Addresses and tokens, as people give them."""

import pytest

from components.errors import ConfigError
from pipeline.kubeflow.server import Access, check_host, read_token


@pytest.mark.parametrize(
    "host",
    [
        "http://[::1", "http://[zz]", "http://h:99999", "http://h:abc", "http://h:-1", "http://h:0", "http:// ",
        "http://h /x", "http://a\nb", "http://:8080", "h:8080", "ftp://h", "http://h/#", "http://h?", "",
    ],
)  # fmt: skip
def test_host_that_is_no_address_is_refused(host):
    with pytest.raises(ConfigError, match="received --host") as refused:
        check_host(host)
    assert "such as http://localhost:8080" in refused.value.expected


@pytest.mark.parametrize("host", ["http://me:s3cret@h", "http://me:s3cret@[::1", "https://s3cret@h/pipeline"])
def test_host_with_a_password_is_refused_without_a_word_of_it(host):
    with pytest.raises(ConfigError, match="a user or a password") as refused:
        check_host(host)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("host", ["http://localhost:8080", "https://[::1]:8080/pipeline", "HTTP://h"])
def test_host_that_is_an_address_is_taken_without_its_last_slash(host):
    assert check_host(host + "/") == host


@pytest.mark.parametrize("text", ["s3cret\ns3cret", "s3\tcret", "Bearer s3cret", "s3cret\x07", "s3crét", "\n", ""])
def test_token_that_is_none_is_refused_without_a_word_of_it(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text)
    for access in (Access("http://h", token=text), Access("http://h", token_file=file)):
        with pytest.raises(ConfigError, match=r"(KFP_TOKEN|--token-file .*) (holds|is empty)") as refused:
            read_token(access)
        assert "s3" not in str(refused.value)
        assert "cr" not in str(refused.value).replace(str(tmp_path), "")


def test_token_is_shown_without_the_blanks_around_it(tmp_path):
    (tmp_path / "token").write_text(" s3cret=\r\n")
    assert read_token(Access("http://h", token="s3cret\n")) == "s3cret"
    assert read_token(Access("http://h", token_file=tmp_path / "token")) == "s3cret="
