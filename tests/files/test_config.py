# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Configuration files: what is read, and that all that is wrong is named at once."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from anomalib_adaptclip.files.config import ClassSpec, read_config
from anomalib_adaptclip.files.yaml_text import MAX_BYTES

SECONDS = 5.0  # within which a file is refused: processor time of the whole process, on a busy machine too


@dataclass
class Entry:
    model: ClassSpec
    shots: list[int | str]
    size: int | None = None
    rate: float = 0.1


@dataclass
class Config:
    models: dict[str, Entry]
    names: list[str] | None = None
    seeds: list[int] = field(default_factory=lambda: [10, 20])
    pictures: bool = True


TEXT = """models:
  A:
    model:
      class_path: Some
      init_args: {root: data, sizes: [1, 2.5, 1e-3], nothing: null}
    shots: [0, full]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def read(path: Path, text: str | bytes, *overrides: str) -> Config:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_config(path, Config, overrides)


def test_the_fields_of_the_dataclass_are_read(path: Path) -> None:
    config = read(path, TEXT + "names: ['01', b]\nseeds: [3]\npictures: false\n")
    arguments = {"root": "data", "sizes": [1, 2.5, 0.001], "nothing": None}
    assert config == Config({"A": Entry(ClassSpec("Some", arguments), [0, "full"])}, ["01", "b"], [3], pictures=False)
    assert type(config.models["A"].model.init_args["sizes"]) is list


def test_what_is_left_out_has_its_default(path: Path) -> None:
    config = read(path, TEXT)
    assert (config.names, config.seeds, config.pictures) == (None, [10, 20], True)


def test_a_whole_number_serves_as_a_float(path: Path) -> None:
    assert read(path, TEXT + "    rate: 1\n").models["A"].rate == 1


class TestInterpolation:
    def test_of_the_environment(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATASETS", "/data")
        monkeypatch.setenv("SIZE", "256")
        config = read(
            path, TEXT.replace("root: data", "root: '${oc.env:DATASETS}/visa'") + "    size: ${oc.env:SIZE}\n"
        )
        assert config.models["A"].model.init_args["root"] == "/data/visa"
        assert config.models["A"].size == 256

    def test_default_of_the_environment(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DATASETS", raising=False)
        config = read(path, TEXT + "names: ['${oc.env:DATASETS,data sets/a-b}/visa']\n")
        assert config.names == ["data sets/a-b/visa"]

    def test_of_values_and_sections(self, path: Path) -> None:
        more = "  B-x:\n    model: ${models.A.model}\n    shots: ${models.A.shots}\n    size: ${seeds.0}\nseeds: [7]\n"
        config = read(path, TEXT + more)
        assert config.models["B-x"] == Entry(config.models["A"].model, [0, "full"], 7)

    def test_of_what_an_override_gives(self, path: Path) -> None:
        assert read(path, TEXT + "    size: ${seeds.0}\n", "seeds=[5]").models["A"].size == 5

    @pytest.mark.filterwarnings("ignore:register_new_resolver.. is deprecated:UserWarning")  # from OmegaConf 2.4 on
    def test_no_resolver_is_run(self, path: Path) -> None:
        called: list[str] = []
        OmegaConf.register_new_resolver("test_config_noted", called.append)
        try:
            for value in ("${test_config_noted:x}", "${${names.0}:x}", "a${test_config_noted:x}b", "\\${seeds}"):
                with pytest.raises(ValueError, match=r"line 7: names\[1\] is .* Write "):
                    read(path, TEXT + f"names: [test_config_noted, '{value}']\n")
        finally:
            OmegaConf.clear_resolver("test_config_noted")
        assert called == []


class TestOverrides:
    @pytest.mark.parametrize(
        ("override", "key", "value"),
        [
            ("seeds=[1, 2]", "seeds", [1, 2]),
            ("pictures=false", "pictures", False),
            ("names=['1']", "names", ["1"]),
            ("models.A.shots=[4]", "models.A.shots", [4]),
            ("models.A.model.init_args.root=a=b", "models.A.model.init_args.root", "a=b"),
            ("models.A.model.init_args={root: x}", "models.A.model.init_args.root", "x"),
            ("models.A.size=null", "models.A.size", None),
        ],
    )
    def test_win_over_the_file(self, path: Path, override: str, key: str, value: object) -> None:
        before, after = (OmegaConf.structured(read(path, TEXT, *given)) for given in ((), (override,)))
        assert OmegaConf.to_object(OmegaConf.create({"x": OmegaConf.select(after, key)}))["x"] == value  # type: ignore[call-overload,index]
        OmegaConf.update(before, key, value)
        assert after == before  # and nothing else is another

    def test_the_last_one_wins(self, path: Path) -> None:
        assert read(path, TEXT, "seeds=[1]", "seeds=[2]").seeds == [2]

    def test_add_entries(self, path: Path) -> None:
        config = read(path, TEXT, "models.B.model.class_path=Other", "models.B.shots=[1]")
        assert config.models["B"] == Entry(ClassSpec("Other"), [1])

    def test_supply_what_the_file_lacks(self, path: Path) -> None:
        assert read(path, "seeds: [1]\n", "models={}") == Config({}, seeds=[1])

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("seeds", "expected KEY=VALUE, such as seeds=[10]"),
            ("seeds=", "expected KEY=VALUE"),
            ("=3", "expected KEY=VALUE"),
            ("a..b=3", "expected KEY=VALUE"),
            ("seeds[0]=3", "expected KEY=VALUE"),
            ("seeds.0=3", "seeds must be a list ([a, b]), got {'0': 3}."),
            ("seeds=ten", "seeds must be a list ([a, b]), got 'ten'."),
            ("seeds=[1, ten]", "seeds[1] must be a whole number, got 'ten'."),
            ("seeds=[010]", "seeds[0] is '010', a number in an unusual notation."),
            ("seeds=[1", "this should be YAML: while parsing a flow sequence"),
            ("seeds=[&a 1, *a]", "this should be YAML: anchors and aliases"),
            ("sees=[1]", "sees is not a known key. Expected here: models, names, seeds, pictures."),
            ("models.A.shoots=[1]", "models.A.shoots is not a known key. Expected here: model, shots, size, rate."),
            ("models.B.shots=[1]", "models.B.model must be given."),
            ("models.A.size=${oc.env:NO_SUCH_SIZE}", "models.A.size needs the environment variable NO_SUCH_SIZE."),
            ("models.A.size=${sizes}", "models.A.size refers to sizes, which is not a key of this file."),
            ("pictures=???", "pictures is ???, which stands for a value that is missing."),
            ("models.A.model.init_args" + 20 * ".a" + "=3", "expected KEY=VALUE"),
            ("models.C.size=3", "models.C is '${models.A}' in the file, into which no keys can be merged."),
        ],
    )
    def test_wrong_ones_are_named(self, path: Path, override: str, message: str) -> None:
        with pytest.raises(ValueError, match=re.escape(f"{path}, override {override!r}: {message}")):
            read(path, TEXT + "  C: ${models.A}\n", "pictures=true", override)


def multiplied(value: str) -> str:
    """Arguments each of which holds ten times the one before it."""
    lines = [f"        a0: {value}", *(f"        a{n + 1}: {ten_times(n)}" for n in range(12))]
    return (
        "models:\n  A:\n    model:\n      class_path: X\n      init_args:\n" + "\n".join(lines) + "\n    shots: [1]\n"
    )


def ten_times(number: int) -> str:
    return "[" + ", ".join([f"'${{models.A.model.init_args.a{number}}}'"] * 10) + "]"


def chain_of(length: int) -> str:
    """Models each of which is the one after it."""
    return "models:\n" + "".join(f"  m{n}: ${{models.m{n + 1}}}\n" for n in range(length)) + f"  m{length}: {{}}\n"


def nested_chain_of(length: int) -> str:
    """Arguments each of which holds the one after it, three deep."""
    links = [f"a{n}: {{a: {{a: ['${{models.A.model.init_args.a{n + 1}}}']}}}}" for n in range(length)]
    return TEXT.replace("root: data", ", ".join([*links, f"a{length}: 1"]))


def in_arguments(value: str) -> str:
    return TEXT.replace("data", value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # no configuration at all
        ("", " should hold a mapping, `key: value`; got nothing."),
        ("# nothing\n", " should hold a mapping, `key: value`; got nothing."),
        ("3", " should hold a mapping, `key: value`; got something else."),
        ("- a\n- b\n", " should hold a mapping, `key: value`; got something else."),
        (b"\xff\xfem\x00", " should be YAML in UTF-8: "),
        (TEXT.encode("utf-16"), " should be YAML in UTF-8: "),
        (b"\x89PNG\r\n\x1a\n\x00\x00", " should be YAML in UTF-8: "),
        (b"models: \x00", " should be YAML: unacceptable character #x0000"),
        ("x" * (MAX_BYTES + 1), " is larger than 32 KiB"),
        # not YAML, or too much of it
        ("models: [1", ", line 1, column 11: this should be YAML: while parsing a flow sequence"),
        ("\tmodels: 1", ", line 1, column 1: this should be YAML: while scanning for the next token"),
        ("a: 1\n---\nb: 2\n", ", line 2, column 1: this should be YAML: expected a single document"),
        ("seeds: [${oc.env:HOME}]", ", line 1, column 10: this should be YAML: "),
        (
            "a: &x [1]\nb: [*x, *x]\n",
            ", line 1, column 4: this should be YAML: anchors and aliases (&, *) are not allowed",
        ),
        ("a: *x\n", ", line 1, column 4: this should be YAML: anchors and aliases"),
        ("<<: {seeds: [1]}\n", ", line 1: << is not allowed"),
        ("a: !!python/object/apply:os.getcwd []\n", ", line 1, column 4: this should be YAML: tags such as"),
        ("a: !!str 1\n", ", line 1, column 4: this should be YAML: tags such as"),
        ("a: " + "[" * 30_000, ", line 1, column 23: this should be YAML: this is nested more than 20 deep"),
        ("a: " + "{a: " * 8_000, ", line 1, column 77: this should be YAML: this is nested more than 20 deep"),
        (
            "\n".join(" " * depth + "a:" for depth in range(200)),
            "line 20, column 20: this should be YAML: this is nested",
        ),
        ("- " * 5_000, "column 41: this should be YAML: this is nested more than 20 deep"),
        ("seeds: [" + "1," * 15_000 + "]", "this should be YAML: these are more than 2000 keys and values"),
        ("a: '" + "x" * 30_000, ", line 1, column 30005: this should be YAML: while scanning a quoted scalar"),
        # keys
        (TEXT + "seeds: [1]\nseeds: [2]\n", ", line 8: seeds is given twice. Leave one out."),
        (TEXT + "    shots: [1]\n", ", line 7: models.A.shots is given twice. Leave one out."),
        (in_arguments("data, root: b"), ", line 5: models.A.model.init_args.root is given twice."),
        (TEXT + "sees: [1]\n", ", line 7: sees is not a known key. Expected here: models, names, seeds, pictures."),
        (
            TEXT + "    shoots: 1\n",
            ", line 7: models.A.shoots is not a known key. Expected here: model, shots, size, rate.",
        ),
        (TEXT + "'seeds ': [1]\n", ", line 7: seeds  is not a known key."),
        (TEXT.replace("  A:", "  1:"), ", line 2: models.1 is not read as text by YAML. Put quotes"),
        (TEXT.replace("  A:", "  on:"), ", line 2: models.on is not read as text by YAML. Put quotes"),
        (TEXT.replace("  A:", "  null:"), ", line 2: models.null is not read as text by YAML."),
        (in_arguments("data, 1: b"), ", line 5: models.A.model.init_args.1 is not read as text by YAML"),
        (TEXT.replace("  A:", "  ? [a]\n  :"), ", line 2: models.? is not a name: keys must be plain text."),
        (TEXT.replace("  A:", "  '':"), ", line 2: models. is not a name."),
        (TEXT.replace("  A:", "  '${seeds}':"), ", line 2: models.${seeds} is not a name. Write it out"),
        ("seeds: [1]\n", "config.yaml: models must be given."),
        ("models:\n  A: {shots: [1]}\n", ", line 2: models.A.model must be given."),
        ("models:\n  A: {}\n", ", line 2: models.A.model must be given."),
        ("models:\n  A:\n    model: {}\n    shots: [1]\n", ", line 3: models.A.model.class_path must be given."),
        # blanks
        ("models:\n", ", line 1: models is blank. Give a value, or leave the key out."),
        ("models:\n  A:\n", ", line 2: models.A is blank."),
        (TEXT + "seeds:\n", ", line 7: seeds is blank."),
        (TEXT + "names:\n", ", line 7: names is blank."),
        (TEXT + "names: [a, ]\nseeds: [1]\npictures:\n", ", line 9: pictures is blank."),
        (in_arguments(""), ", line 5: models.A.model.init_args.root is blank."),
        (
            TEXT.replace("{root: data, sizes: [1, 2.5, 1e-3], nothing: null}", ""),
            ", line 5: models.A.model.init_args is",
        ),
        (TEXT + "names:\n- \n- b\n", ", line 8: names[0] is blank."),
        (TEXT + "seeds: '???'\n", ", line 7: seeds is ???, which stands for a value that is missing."),
        # types
        (TEXT + "seeds: ten\n", ", line 7: seeds must be a list ([a, b]), got 'ten'."),
        (TEXT + "seeds: 10\n", ", line 7: seeds must be a list ([a, b]), got 10."),
        (TEXT + "seeds: null\n", ", line 7: seeds must be a list ([a, b]), got null."),
        (TEXT + "seeds: {a: 1}\n", ", line 7: seeds must be a list ([a, b]), got {'a': 1}."),
        (TEXT + "seeds:\n- 1\n- ten\n", ", line 9: seeds[1] must be a whole number, got 'ten'."),
        (TEXT + "seeds: ['10']\n", ", line 7: seeds[0] must be a whole number, got '10'."),
        (TEXT + "seeds: [1.0]\n", ", line 7: seeds[0] must be a whole number, got 1.0."),
        (TEXT + "seeds: [true]\n", ", line 7: seeds[0] must be a whole number, got True."),
        (TEXT + "seeds: [null]\n", ", line 7: seeds[0] must be a whole number, got null."),
        (TEXT + "pictures: maybe\n", ", line 7: pictures must be true or false, got 'maybe'."),
        (TEXT + "pictures: 1\n", ", line 7: pictures must be true or false, got 1."),
        (TEXT + "pictures: 'true'\n", ", line 7: pictures must be true or false, got 'true'."),
        (TEXT + "pictures: []\n", ", line 7: pictures must be true or false, got []."),
        (TEXT + "names: [a, 1]\n", ", line 7: names[1] must be text, got 1. Put quotes around it."),
        (TEXT + "names: [1.5]\n", ", line 7: names[0] must be text, got 1.5. Put quotes around it."),
        (TEXT + "names: [true]\n", ", line 7: names[0] must be text, got True. Put quotes around it."),
        (TEXT + "names: a\n", ", line 7: names must be a list ([a, b]) or null, got 'a'."),
        (TEXT + "    size: 2.5\n", ", line 7: models.A.size must be a whole number or null, got 2.5."),
        (TEXT + "    rate: high\n", ", line 7: models.A.rate must be a number, got 'high'."),
        (TEXT.replace("full", "[1]"), ", line 6: models.A.shots[1] must be a whole number or text, got [1]."),
        (TEXT.replace("full", "{a: 1}"), ", line 6: models.A.shots[1] must be a whole number or text, got {'a': 1}."),
        (TEXT.replace("full", "1.5"), ", line 6: models.A.shots[1] must be a whole number or text, got 1.5."),
        (TEXT.replace("full", "true"), ", line 6: models.A.shots[1] must be a whole number or text, got True."),
        (TEXT.replace("Some", "3"), ", line 4: models.A.model.class_path must be text, got 3. Put quotes around it."),
        ("models: []\n", ", line 1: models must be a mapping (name: value), got []."),
        ("models: {A: 3}\n", ", line 1: models.A must be a mapping with the keys model, shots, size, rate, got 3."),
        (
            "models: {A: {model: X}}\n",
            ", line 1: models.A.model must be a mapping with the keys class_path, init_args,",
        ),
        (TEXT + f"seeds: {'x' * 5_000}\n", f", line 7: seeds must be a list ([a, b]), got '{'x' * 199}...."),
        # spellings that YAML reads as something else
        (TEXT + "seeds: [010]\n", ", line 7: seeds[0] is '010', a number in an unusual notation."),
        (TEXT + "seeds: [1:30]\n", ", line 7: seeds[0] is '1:30', a number in an unusual notation."),
        (
            TEXT + "names: [01]\n",
            ", line 7: names[0] is '01', a number in an unusual notation. Write plain digits, or put",
        ),
        (TEXT + "names: [no]\n", ", line 7: names[0] is no, which YAML reads as true or false."),
        (TEXT + "pictures: off\n", ", line 7: pictures is off, which YAML reads as true or false."),
        (in_arguments("no"), ", line 5: models.A.model.init_args.root is no, which YAML reads as true or false."),
        (TEXT + f"seeds: [{'1' * 5_000}]\n", ", line 7: seeds[0] is '1111"),
        # interpolations
        (
            TEXT + "pictures: ${oc.env:NO_SUCH_WORD}\n",
            ", line 7: pictures needs the environment variable NO_SUCH_WORD. Set it",
        ),
        (
            in_arguments("'${oc.env:EMPTY}/visa'"),
            ", line 5: models.A.model.init_args.root needs the environment variable",
        ),
        (
            in_arguments("'${oc.env:TWICE}'"),
            "root needs the environment variable TWICE without ${...}, got '${oc.env:HOME}'",
        ),
        (TEXT + "    size: ${oc.env:WORD}\n", ", line 7: models.A.size cannot be read: While dereferencing"),
        (TEXT + "seeds: ${sees}\n", ", line 7: seeds refers to sees, which is not a key of this file."),
        (TEXT + "    size: ${seeds.1}\nseeds: [1]\n", ", line 7: models.A.size refers to seeds.1, which is not a key"),
        (TEXT + "seeds: ${seeds}\n", ", line 7: seeds refers to itself: seeds -> seeds."),
        (TEXT + "seeds: ${names}\nnames: ${seeds}\n", ", line 7: seeds refers to itself: names -> seeds -> names."),
        (in_arguments("'${models}'"), ", line 5: models.A.model.init_args.root refers to itself: models -> models."),
        (TEXT + "seeds: ${models.A.shots}\n", ", line 7: seeds[1] must be a whole number, got 'full'."),
        (TEXT + "seeds: ${oc.env:WORD}\n", ", line 7: seeds must be a list ([a, b]), got '${oc.env:WORD}'."),
        (TEXT + "names: ['${seeds.0}']\nseeds: [1]\n", ", line 7: names[0] must be text, got 1. Put quotes around it."),
        (chain_of(1_100), "this should be YAML: these are more than 2000 keys and values"),
        (chain_of(900), ", line 2: models.m0 is nested more than 20 deep, interpolations included."),
        (
            nested_chain_of(10),
            ", line 5: models.A.model.init_args.a0.a.a[0] is nested more than 20 deep, interpolations included.",
        ),
        (TEXT + "seeds: ${pictures}\npictures: true\n", ", line 7: seeds must be a list ([a, b]), got True."),
        (TEXT + "names: ${models.A}\n", ", line 7: names must be a list ([a, b]) or null, got {"),
        (
            TEXT.replace("[0, full]", "['${models.A.model}']"),
            ", line 6: models.A.shots[0] must be a whole number or text",
        ),
        (TEXT + "seeds: ${oc.coerce:os.sep,3}\n", ", line 7: seeds is '${oc.coerce:os.sep,3}'. Write ${a.key"),
        (TEXT + "seeds: ${${names.0}:3}\nnames: [oc.env]\n", ", line 7: seeds is '${${names.0}:3}'. Write ${a.key"),
        (TEXT + "seeds: ${\n", ", line 7: seeds is '${'. Write ${a.key"),
        (TEXT + "seeds: ${}\n", ", line 7: seeds is '${}'. Write ${a.key"),
        (TEXT + "seeds: " + "${" * 10_000 + "\n", ", line 7: seeds is '${${"),
        (
            TEXT + "names: ['" + "${seeds.0}" * 2_900 + "']\nseeds: [1]\n",
            ", line 7: names[0] brings this file to more than 2000 values",
        ),
        (
            multiplied("[1, 2, 3]"),
            "init_args.a3[2] brings this file to more than 2000 values, interpolations included.",
        ),
        (
            multiplied("x" * 5_000),
            "init_args.a2[2] brings this file to more than 2000 values, interpolations included.",
        ),
    ],
)
def test_what_is_wrong_is_named_at_once(
    path: Path, text: str | bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"EMPTY": "", "TWICE": "${oc.env:HOME}", "WORD": "large"}.items():
        monkeypatch.setenv(name, value)
    start = time.process_time()
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read(path, text)
    assert time.process_time() - start < SECONDS
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_no_such_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_config(tmp_path / name, Config)


def test_the_limit_of_omegaconf_itself_names_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        msg = "somehow\nwrong"
        raise TypeError(msg)

    monkeypatch.setattr(OmegaConf, "merge", refuse)
    with pytest.raises(ValueError, match=rf"{path}: this cannot be read: somehow\.$"):
        read(path, TEXT)
