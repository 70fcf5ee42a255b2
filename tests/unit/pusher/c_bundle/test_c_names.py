import itertools
import re
import subprocess

import numpy as np
import pytest

from components.errors import ReleaseError
from components.pusher.c_bundle.c_names import (
    BUNDLE_NAME,
    c_float,
    c_string,
    camel_case,
    camel_name,
    check_bundle_name,
    index_names,
)

COCO_SAMPLE = {
    "person": "Person",
    "car": "Car",
    "tv": "Tv",
    "dining table": "DiningTable",
    "hair drier": "HairDrier",
}


@pytest.mark.parametrize(("label", "identifier"), COCO_SAMPLE.items())
def test_camel_case_lower_case_words_are_joined(label, identifier):
    assert camel_case(label) == identifier


@pytest.mark.parametrize(
    ("label", "identifier"),
    [
        ("Person", "U0050erson"),
        ("fußgänger", "FuU00DFgU00E4nger"),
        ("stop-sign", "StopU002Dsign"),
        ("stop_sign", "StopU005Fsign"),
        ("2 wheeler", "2Wheeler"),
        ("type 2", "TypeU00202"),
        ("a  b", "AU0020B"),
        ("人", "U4EBA"),
        ("no u turn", "NoUTurn"),
        ("sign u0041", "signU0020u0041"),
        ("u000 a", "u000U0020a"),
        (" car", "U0020car"),
    ],
)
def test_camel_case_other_characters_are_spelled_out(label, identifier):
    assert camel_case(label) == identifier


@pytest.mark.parametrize("label", ["", "🚗", "a u00e4 🚗"])
def test_camel_case_label_without_an_identifier_is_refused(label):
    with pytest.raises(ReleaseError, match="label="):
        camel_case(label)


def test_camel_case_all_short_labels_get_distinct_identifiers():
    labels = ["".join(letters) for length in range(1, 6) for letters in itertools.product("auU0 -", repeat=length)]
    identifiers = {camel_case(label) for label in labels}
    assert len(identifiers) == len(labels) > 9000
    assert all(f"k{identifier}Index".isidentifier() for identifier in identifiers)


@pytest.mark.parametrize(
    ("name", "identifier"),
    [("person_ssd", "PersonSsd"), ("person_96", "Person_96"), ("u0041", "U0041"), ("sign_u0041", "SignU0041")],
)
def test_camel_name_words_are_joined_and_no_name_is_refused(name, identifier):
    assert camel_name(name) == identifier


def test_camel_name_all_short_names_get_distinct_identifiers():
    names = {"".join(letters) for length in range(1, 7) for letters in itertools.product("ab0_", repeat=length)}
    names = {name for name in names if re.fullmatch(BUNDLE_NAME, name)}
    assert len({camel_name(name) for name in names}) == len(names) > 1000
    assert all("__" not in camel_name(name) for name in names)


def test_index_names_names_every_label_that_is_refused():
    with pytest.raises(ReleaseError, match="received label='😀', label=''\n") as caught:
        index_names(("cat", "😀", "dog", ""), None)
    assert caught.value.expected is not None
    assert caught.value.hint is not None


def test_index_names_opposite_of_a_positive_label_may_have_any_name():
    assert index_names(("😀", "person"), "person") == {"kPersonIndex": 1, "kNotAPersonIndex": 0}


@pytest.mark.parametrize("positive", [None, "person"])
def test_index_names_same_label_twice_is_refused(positive):
    with pytest.raises(ReleaseError, match=r"received labels=\('person', 'person'\)"):
        index_names(("person", "person"), positive)


@pytest.mark.parametrize("name", ["person_detect", "vww2", "a"])
def test_check_bundle_name_identifier_part_passes(name):
    check_bundle_name(name)


@pytest.mark.parametrize("name", ["", "Person", "a__b", "_a", "a_", "2a", "a-b", "a/b", "ä", "a\n"])
def test_check_bundle_name_other_text_is_refused(name):
    with pytest.raises(ReleaseError, match="name="):
        check_bundle_name(name)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("person", '"person"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("é1", r'"\303\2511"'),
        ("a\nb\x007", r'"a\012b\0007"'),
        ("??/ ???", r'"?\?/ ?\??"'),
    ],
)
def test_c_string_escapes_what_c_would_read_otherwise(text, literal):
    assert c_string(text) == literal


def test_c_string_compiled_literal_has_the_texts_bytes(compile_and_run):
    texts = ['a"b\\c', "é1", "line\nbreak", "??/??'", "%s", "\x7f\x1b[0m", "人🚗", "tab\t"]
    prints = "\n".join(f"  std::fwrite({c_string(text)}, 1, {len(text.encode())}, stdout);" for text in texts)
    output = compile_and_run(f"#include <cstdio>\nint main() {{\n{prints}\n}}\n")
    assert output == "".join(texts).encode()


@pytest.mark.parametrize("value", [2 / 255, 1 / 256, 1.0, 1e-8, 0.007843137718737125, 3e10])
def test_c_float_restores_the_float32(compile_and_run, value):
    output = compile_and_run(
        f"#include <cstdio>\nint main() {{ const float v = {c_float(value)}; std::fwrite(&v, 4, 1, stdout); }}\n"
    )
    assert output == np.float32(value).tobytes()


def test_compile_and_run_reports_compiler_errors(compile_and_run):
    with pytest.raises(subprocess.CalledProcessError):
        compile_and_run("int main() { int unused; }")
