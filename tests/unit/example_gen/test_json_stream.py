import codecs
import hashlib
import io
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.example_gen import json_stream
from components.example_gen.json_stream import EntryReader, NotAnObjectError

CHUNKS = (1, 2, 3, 5, 8, 13, 29, 64, 4096)
BOMS = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
BOMS |= {"utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE}


@pytest.fixture
def read(monkeypatch):
    """Reads bytes, so many at a time: the entries, and the digest."""

    def read(data, chunk_bytes):
        monkeypatch.setattr(json_stream, "CHUNK_BYTES", chunk_bytes)
        reader = EntryReader(io.BytesIO(data))
        return list(reader.entries()), reader.sha256

    return read


def together(entries):
    """The document that entries come from, with its keys in order; a key that stands twice stands there twice."""
    members = []
    for entry in entries:
        if entry.place is None:
            members.append((entry.key, entry.value))
        else:
            key, items = members[-1]
            assert (key, len(items)) == (entry.key, entry.place)
            items.append(entry.value)
    return members


def is_outline(value):
    """Lists of finite numbers, however nested."""
    if isinstance(value, list):
        return all(isinstance(item, list) or type(item) in (int, float) for item in value) and all(
            is_outline(item) for item in value if isinstance(item, list)
        )
    return False


def without_outlines(value, key=""):
    """A document with 0 in the place of outlines, whether the reader has cut them out or not."""
    if key.endswith("segmentation") and (is_outline(value) or value == 0):
        return 0
    if isinstance(value, dict):
        return {name: without_outlines(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [without_outlines(item) for item in value]
    return value


def same(value):
    """For comparing: NaN equals itself, and 1 is neither True nor 1.0."""
    return json.dumps(value)


# Random documents.

NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.sampled_from([0.1, -0.0, 1e-7, 1e22, 5e-324, 1.7976931348623157e308]),
)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=12) | st.sampled_from(
    [
        "segmentation",
        '"segmentation": [1',
        "\\",
        '\\"',
        "\U0001f600",
        "\ud800",
        "\udc00x",
        "a\0b",
        "\u2028",
        '],"',
        "}{",
    ]
)
POLYGONS = st.lists(st.lists(NUMBERS.filter(lambda number: number - number == 0), max_size=6), max_size=3)
SEGMENTATIONS = POLYGONS | st.fixed_dictionaries({"counts": TEXTS, "size": st.lists(NUMBERS, max_size=2)})
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS, inner, max_size=3)
        | st.fixed_dictionaries({"id": NUMBERS, "segmentation": SEGMENTATIONS}, optional={"more": inner})
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(["images", "annotations", "categories", "info", "segmentation"]) | TEXTS
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    document=DOCUMENTS,
    chunk_bytes=st.sampled_from(CHUNKS),
    indent=st.sampled_from([None, 0, 2, "\t", "\r\n"]),
    ascii_only=st.booleans(),
    separators=st.sampled_from([None, (",", ":"), (" , ", " : "), (",\n\t", "\r:  ")]),
)
@example({"images": [1.5, 2], "info": 1.5}, 1, None, True, None)
@example({"segmentation": [[], None]}, 29, None, False, None)
@example({"annotations": [{"segmentation": [[1, 2], [3], "x", []]}]}, 64, None, False, None)
@example({"a": 1e-7}, 1, None, True, (",", ":"))
@example({"a": [12.25e30, 7]}, 2, None, True, (",", ":"))
def test_entries_of_any_document_are_what_json_loads_gives(read, document, chunk_bytes, indent, ascii_only, separators):
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only, separators=separators)
    data = text.encode("utf-8", "surrogatepass")
    entries, digest = read(data, chunk_bytes)
    found = [(key, without_outlines(value, key)) for key, value in together(entries)]
    expected = [(key, without_outlines(value, key)) for key, value in json.loads(data).items()]
    assert same(found) == same(expected)
    assert digest == hashlib.sha256(data).hexdigest()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=DOCUMENTS, chunk_bytes=st.sampled_from(CHUNKS), data=st.data())
def test_entries_of_a_document_with_one_byte_changed_fail_where_json_loads_does(read, document, chunk_bytes, data):
    encoded = bytearray(json.dumps(without_outlines(document)).replace("segmentation", "outline"), "ascii")
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.sampled_from(list(b'{}[]",:\\0-.eE x\n\xff')))
    try:
        expected = json.loads(encoded)
    except ValueError as error:
        with pytest.raises(type(error)):
            read(bytes(encoded), chunk_bytes)
        return
    assert isinstance(expected, dict)  # no one byte turns an object into anything else
    entries, _ = read(bytes(encoded), chunk_bytes)
    assert same(dict(together(entries))) == same(expected)


# One document with all that COCO files have in them.

DOCUMENT = {
    "info": {"year": 2014, "text": 'a "quoted" \\ Zoë \U0001f600'},
    "licenses": [],
    "version": 1.25e-3,
    "images": [{"id": 139, "file_name": "ü.jpg", "width": 640}, {"id": -1.5, "file_name": None}],
    "annotations": [
        {"id": 1, "segmentation": [[1.5, 2e-1, -3, 4], [5, 6]], "area": 20.5},
        {"segmentation": {"counts": [1, 2], "size": [3, 4]}, "iscrowd": 1},
        {"id": 3, "segmentation": []},
        {"id": 4, "text": '"segmentation": [[1, 2]]', "segmentation": [1, 2]},
    ],
    "empty": {},
    "numbers": [1, 12.5, 1e22, -0.0, True, None],
}
STRIPPED = without_outlines(DOCUMENT)


@pytest.mark.parametrize("chunk_bytes", range(1, 65))
@pytest.mark.parametrize("indent", [None, 1])
def test_entries_do_not_depend_on_where_chunks_end(read, chunk_bytes, indent):
    data = json.dumps(DOCUMENT, indent=indent, ensure_ascii=False).encode()
    entries, digest = read(data, chunk_bytes)
    assert same(without_outlines(dict(together(entries)))) == same(STRIPPED)
    assert digest == hashlib.sha256(data).hexdigest()


def test_entries_outlines_are_cut_out_and_crowds_are_not(read):
    entries, _ = read(json.dumps(DOCUMENT).encode(), 4096)
    annotations = [entry.value for entry in entries if entry.key == "annotations" and entry.place is not None]
    assert [annotation["segmentation"] for annotation in annotations] == [0, {"counts": [1, 2], "size": [3, 4]}, 0, 0]
    assert annotations[3]["text"] == '"segmentation": [[1, 2]]'


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 4096])
def test_entries_of_a_document_cut_short_anywhere_are_refused(read, chunk_bytes):
    data = json.dumps(DOCUMENT, ensure_ascii=False).encode()
    for end in range(len(data)):
        with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)) as caught:
            json.loads(data[:end])
        with pytest.raises(caught.type):
            read(data[:end], chunk_bytes)


@pytest.mark.parametrize("chunk_bytes", [1, 4096])
@pytest.mark.parametrize("rest", ["x", "{}", ",", "]", "}", " 1", "\0"])
def test_entries_what_follows_the_document_is_refused(read, rest, chunk_bytes):
    with pytest.raises(json.JSONDecodeError, match="Extra data"):
        read((json.dumps(DOCUMENT) + rest).encode(), chunk_bytes)


@pytest.mark.parametrize("chunk_bytes", [1, 4096])
@pytest.mark.parametrize(
    "text",
    [
        "{a: 1}",
        "{'a': 1}",
        '{"a" 1}',
        '{"a": }',
        '{"a": 1,}',
        '{"a": [1,]}',
        '{"a": [,]}',
        '{"a": [1 2]}',
        '{"a": [1}',
        '{"a": 01}',
        '{"a": 1.}',
        '{"a": 1.e5}',
        '{"a": .5}',
        '{"a": 1e}',
        '{"a": [1e+, 2]}',
        '{"a": -}',
        '{"a": +1}',
        '{"a": tru}',
        '{"a": "\n"}',
        '{"a": "\\x"}',
        '{"a": "\\u12"}',
        '{"a": 1 /* one */}',
        "{1: 1}",
        '{"a": [[[1, 2], {"b": [}]]}',
    ],
)
def test_entries_of_broken_json_are_refused(read, text, chunk_bytes):
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    with pytest.raises(json.JSONDecodeError):
        read(text.encode(), chunk_bytes)


@pytest.mark.parametrize("chunk_bytes", [1, 4096])
@pytest.mark.parametrize("text", ["[]", "[1, {}]", '"x"', "1.5", "null", "true", " 12 "])
def test_entries_of_what_is_no_object_tell_what_it_is(read, text, chunk_bytes):
    with pytest.raises(NotAnObjectError) as caught:
        read(text.encode(), chunk_bytes)
    assert same(caught.value.value) == same(json.loads(text))


@pytest.mark.parametrize("text", ["", " \n\t", "[] x", "1 2", "nul"])
def test_entries_of_nothing_or_no_json_are_refused(read, text):
    with pytest.raises(json.JSONDecodeError):
        read(text.encode(), 1)


@pytest.mark.parametrize("chunk_bytes", [4, 5, 7, 64, 4096])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("with_bom", [True, False])
def test_entries_of_any_unicode_coding_are_the_same(read, encoding, with_bom, chunk_bytes):
    data = (BOMS[encoding] if with_bom else b"") + json.dumps(DOCUMENT, ensure_ascii=False).encode(encoding)
    entries, digest = read(data, chunk_bytes)
    assert same(without_outlines(dict(together(entries)))) == same(STRIPPED)
    assert digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("chunk_bytes", [1, 4096])
@pytest.mark.parametrize("data", [b'{"a": "\xc3\x28"}', b'{"a": "\xc3', b'{"a": 1}\xff', b"\xff\xfe{\x00\x00"])
def test_entries_of_what_is_no_text_are_refused(read, data, chunk_bytes):
    with pytest.raises(UnicodeDecodeError):
        json.loads(data)
    with pytest.raises(UnicodeDecodeError):
        read(data, chunk_bytes)


@pytest.mark.parametrize("chunk_bytes", [3, 2**16])
def test_entries_too_deep_or_too_many_digits_are_refused(read, chunk_bytes):
    with pytest.raises(RecursionError):
        read(b'{"a": ' + b"[" * 100_000, 2**16)
    with pytest.raises(ValueError, match="4300"):
        read(b'{"a": ' + b"9" * 5000 + b"}", chunk_bytes)


def test_entries_key_that_stands_twice_comes_twice(read):
    entries, _ = read(b'{"a": [1], "b": 2, "a": [3]}', 2)
    assert together(entries) == [("a", [1]), ("b", 2), ("a", [3])]


def test_entries_long_outline_over_many_chunks_is_cut_out(read):
    outline = [[float(n) for n in range(2000)]]
    document = {"annotations": [{"segmentation": outline, "id": n} for n in range(3)]}
    entries, _ = read(json.dumps(document).encode(), 64)
    values = [entry.value for entry in entries[1:]]
    assert values[0] == {"segmentation": 0, "id": 0}
    assert [value["id"] for value in values] == [0, 1, 2]


def test_entries_are_given_before_the_file_is_read_to_its_end(read, monkeypatch):
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", 16)
    file = io.BytesIO(json.dumps({"images": list(range(1000))}).encode())
    entries = EntryReader(file).entries()
    assert [next(entries).value for _ in range(3)] == [[], 0, 1]
    assert file.tell() < 100
