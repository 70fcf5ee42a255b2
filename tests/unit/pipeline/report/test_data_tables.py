from pipeline.report.data_tables import MAX_LABEL_COLUMNS, print_examples


def test_print_examples_of_few_labels_has_a_row_for_each_split(capsys):
    print_examples({"train": {"cat": 1_200, "dog": 3}, "eval": {"cat": 4, "dog": 5}})
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:4]] == [
        ["split", "images", "cat", "dog"],
        ["train", "1,203", "1,200", "3"],
        ["eval", "9", "4", "5"],
    ]


def test_print_examples_of_many_labels_shows_every_name_in_full(capsys):
    names = [f"a class of a long name {n}" for n in range(80)]
    assert len(names) > MAX_LABEL_COLUMNS
    print_examples({"train": dict.fromkeys(names, 2), "eval": dict.fromkeys(names, 1)})
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["label", "train", "eval"]
    assert all(line.startswith(name) for line, name in zip(lines[2:82], names, strict=True))
    assert lines[82].split() == ["all", "160", "80"]
