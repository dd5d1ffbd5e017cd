"""What a sweep is asked for becomes points, numbered through and known again; what cannot be read is refused."""

from __future__ import annotations

import contextlib
import itertools
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hwsim.errors import HwsimError, InputError, UsageError
from hwsim.sweep.axes import space, values
from hwsim.sweep.objectives import OBJECTIVES, front, losses, objectives
from hwsim.sweep.space import SETTINGS, Axis, Block, Point, Space
from hwsim.sweep.study_file import Options, options

CHIPS = "eyeriss:rows={8,12,16},glb_kib=64:256:64,systolic:rows={16,32}"


def every(one: Space) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(one.size, dtype=np.int64)


def test_two_chips_with_lists_and_ranges_are_the_full_grid() -> None:
    found = space("alexnet,mlp", CHIPS, density="1.0,0.5,0.1", format="fp16,int8")
    # 2 networks x (3 rows x 4 buffers + 2 rows) x 2 formats x 3 densities
    assert found.size == 2 * (3 * 4 + 2) * 2 * 3
    points = found.points(every(found))
    expected = [
        Point(network, chip, "", fmt, density, None)
        for network in ("alexnet", "mlp")
        for chip in (
            *(f"eyeriss:glb_kib={kib},rows={rows}" for rows in (8, 12, 16) for kib in (64, 128, 192, 256)),
            *(f"systolic:rows={rows}" for rows in (16, 32)),
        )
        for fmt in ("fp16", "int8")
        for density in (1.0, 0.5, 0.1)
    ]
    assert points == expected
    assert [found.point(ordinal) for ordinal in (0, 5, 167)] == [expected[0], expected[5], expected[167]]


def test_neighbours_differ_in_densities_before_anything_else() -> None:
    found = space(
        "resnet:depth={18,50}", "eyeriss:rows={8,12}", density="1,0.5", input_density="1,0.25", format="fp16,int8"
    )
    names = [axis.name for axis in found.blocks[0].axes]
    assert names == ["network_depth", "chip_rows", *SETTINGS]
    first, second = found.points(every(found)[:2])
    assert first._replace(input_density=0.25) == second


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64:256:64", "64 128 192 256"),
        ("64:255:64", "64 128 192"),
        ("16:1:-5", "16 11 6 1"),
        ("7:7:3", "7"),
        ("0.1:0.7:0.2", "0.1 0.3 0.5 0.7"),
        ("0.1:0.3:0.1", "0.1 0.2 0.3"),
        ("1:2.5:0.5", "1 1.5 2 2.5"),
        ("1e3:3e3:1e3", "1000 2000 3000"),
        ("1:1024:*4", "1 4 16 64 256 1024"),
        ("0.1:0.9:*3", "0.1 0.3 0.9"),
        ("8:1:*0.5", "8 4 2 1"),
        ("{8,12, 16}", "8 12 16"),
        ("{3,1:5:2,5,3}", "3 1 5"),
        ("./a:b/weights.csv", "./a:b/weights.csv"),
        ("", ""),
    ],
)
def test_a_range_has_its_stop_where_it_lies_on_the_grid_and_no_value_twice(text: str, expected: str) -> None:
    assert values("rows", text) == tuple(expected.split(" "))


@given(st.integers(-999, 999), st.integers(-99, 99).filter(bool), st.integers(0, 40), st.integers(0, 6))
def test_a_decimal_range_is_the_whole_one_with_its_point_moved(start: int, step: int, count: int, digits: int) -> None:
    def moved(number: int) -> str:
        return f"{number}e-{digits}"

    stop = start + step * count
    found = values("width", f"{moved(start)}:{moved(stop)}:{moved(step)}")
    assert [float(one) for one in found] == [float(moved(start + step * index)) for index in range(count + 1)]


@pytest.mark.parametrize(
    ("chips", "said"),
    [
        ("systolic:rows=8:16:0", "the step of chip 'systolic': rows=8:16:0 is 0; write start:stop:step"),
        ("systolic:rows=16:8:2", "rows=16:8:2 leads away from its stop"),
        ("systolic:rows=8:x:2", "rows=8:x:2 is no range of numbers; write start:stop:step"),
        ("systolic:rows=8:16", "rows=8:16 is no range of numbers"),
        ("systolic:rows=inf:nan:1", "is no range of numbers"),
        ("systolic:rows=1:8:*1", "the factor of chip 'systolic': rows=1:8:*1 must lead from its start to its stop"),
        ("systolic:rows=0:8:*2", "must lead from its start to its stop, all of them above 0"),
        ("systolic:rows=0:1:1e-18", "has more than the 10000000 values that an axis may have"),
        ("systolic:rows=1:2:*1.00000001", "has more than the 10000000 values"),
        ("systolic:rows=1:1e5:1,cols=1:1e5:1", "a study of 10000000000 points is larger than the 1000000000"),
        ("systolic:rows={8,,16}", "has an empty place; a list is written {8,12,16}"),
        ("systolic:rows={}", "has an empty place"),
        ("systolic:rows={8,12", "the braces of 'systolic:rows={8,12' do not pair"),
        ("systolic:rows={8,{12}}", "do not pair"),
        ("systolic:rows=8\0", "do not pair"),
        ("systolic:rows=1{2,3}", "a list in braces is the whole of a value, not a part of '1{2,3}'"),
        ("systolic:rows={2}{3}", "not a part of '{2}{3}'"),
        ("sys{tolic,olic}:rows=8", "has a list in braces where no value of a parameter stands"),
        ("systolic:row{s}=8", "has a list in braces where no value of a parameter stands"),
        ("systolc:rows={8,12}", "no chip named 'systolc'; did you mean 'systolic'?"),
        ("systolic:row={8,12}", "chip 'systolic' has no parameter 'row'; did you mean 'rows'?"),
        ("systolic:{8,12}", "parameter '{8,12}' of chip 'systolic' is not of the form key=value"),
        ("systolic:rows=8,{12}", "'{12}' has a list in braces where no value of a parameter stands"),
        ("gpu:h100,machine=a100", "parameter 'machine' of chip 'gpu' is given twice"),
        ("./no_chip.py:rows=8", "no chip file 'no_chip.py'"),
        (":{8}", "':{8}' names nothing"),
        ("", "'' names nothing"),
    ],
)
def test_chips_that_cannot_be_are_refused_in_a_sentence(chips: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        space("mlp", chips)


@pytest.mark.parametrize(
    ("options_given", "said"),
    [
        ({"networks": "alexnt"}, "no network named 'alexnt'; did you mean 'alexnet'?"),
        ({"networks": "./no.onnx"}, "no network file './no.onnx'"),
        ({"networks": "resnet:dept={18}"}, "network 'resnet' has no parameter 'dept'; did you mean 'depth'?"),
        ({"dataflow": "weight_stationry"}, "did you mean 'weight_stationary'?"),
        ({"format": "int8,int7"}, "no format named 'int7'; did you mean 'int8'?"),
        ({"format": "int8,fc=int7"}, "no format named 'int7'"),
        ({"density": "1,0"}, "--density 0 is not the share of values that are not zero: above 0, at most 1"),
        ({"density": "1.5"}, "--density 1.5 is not the share"),
        ({"density": "nan"}, "--density nan is not the share"),
        ({"input_density": "half"}, "--input-density half is not the share"),
        ({"batch": "1,,2"}, "--batch={1,,2} has an empty place"),
        ({"networks": "mlp:batch=2", "batch": "1,2"}, "parameter 'batch' of network 'mlp' is given twice"),
    ],
)
def test_options_that_cannot_be_are_refused_in_a_sentence(options_given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        Options(**{"networks": "mlp", **options_given}).space()  # type: ignore[arg-type]


@given(st.text(st.sampled_from("systolic:rows=8,{}12*.e-\0 "), max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_text_of_chips_is_a_space_or_one_sentence(text: str) -> None:
    with contextlib.suppress(HwsimError):
        assert space("mlp", text).size >= 1


def test_the_batch_is_a_parameter_of_every_network_and_refused_where_one_has_none(tmp_path: Path) -> None:
    found = space("mlp,resnet:depth=18", "systolic", batch="1:4:*2")
    assert [point.network for point in found.points(every(found))] == [
        *(f"mlp:batch={batch}" for batch in (1, 2, 4)),
        *(f"resnet:batch={batch},depth=18" for batch in (1, 2, 4)),
    ]
    (tmp_path / "mine.py").write_text("def mine(size: int):\n    raise SystemExit\n")
    with pytest.raises(UsageError, match=r"mine.py' has no parameter 'batch'"):
        space(f"{tmp_path}/mine.py:size=3", "systolic", batch="1,2")
    with pytest.raises(UsageError, match="needs its parameter 'size'"):
        space(f"{tmp_path}/mine.py", "systolic")


def test_all_is_every_name_of_the_catalogue_and_nothing_is_built() -> None:
    found = space("all", "all,systolic:rows=16", format="int8")
    networks = {block.network for block in found.blocks}
    assert {"alexnet", "vit"} <= networks
    assert {block.chip for block in found.blocks} >= {"eie", "gpu", "tpu_v1"}
    assert found.size == len(found.blocks) == len(networks) * (len({block.chip for block in found.blocks}) + 1)


def test_a_value_without_its_key_is_of_the_first_parameter() -> None:
    found = space("mlp", "gpu:{h100,a100}")
    assert [point.chip for point in found.points(every(found))] == ["gpu:machine=h100", "gpu:machine=a100"]
    assert found.columns == ("chip_machine",)


def test_layers_formats_stay_together() -> None:
    found = space("alexnet", "systolic", format="fp16, int8,conv1=fp16,conv2=bf16,int8")
    assert found.blocks[0].axes[1].values == ("fp16", "int8,conv1=fp16,conv2=bf16", "int8")


def test_columns_are_numbers_where_all_their_values_are_and_empty_for_other_chips() -> None:
    found = space("mlp", "gpu:{h100,7},systolic:rows={8,16},cols=8,eyeriss:glb_kib={64,100.5}", batch="1,2")
    columns = found.axis_values(every(found))
    assert found.columns == tuple(columns) == (
        "network_batch", "chip_machine", "chip_cols", "chip_rows", "chip_glb_kib",
    )  # fmt: skip
    assert columns["network_batch"] == [1, 1, 2, 2] * 3
    assert columns["chip_machine"] == ["h100", "7"] * 2 + [None] * 8
    assert columns["chip_rows"] == [None] * 4 + [8, 16] * 2 + [None] * 4
    assert columns["chip_cols"] == [None] * 4 + [8] * 4 + [None] * 4
    assert columns["chip_glb_kib"] == [None] * 8 + [64.0, 100.5] * 2
    assert {type(one) for one in columns["chip_rows"]} == {int, type(None)}


def test_a_point_has_one_key_in_every_space_and_no_other_has_it() -> None:
    large = space(
        "mlp,alexnet", "systolic:rows={8,16},cols=8:24:8,eie", density="1,0.5", format="int8,fp16", batch="1,2"
    )
    small = space("alexnet:batch=2", "systolic:cols=16,rows={16,32}", density="0.5", format="fp16")
    keys = large.keys(every(large))
    assert len(set(keys)) == large.size
    assert {len(key) for key in keys} == {16}
    by_key = dict(zip(keys, large.points(every(large)), strict=True))
    shared = [by_key.get(key) for key in small.keys(every(small))]
    assert shared == [small.point(0), None]


def test_a_key_tells_a_number_from_none_and_fields_from_each_other() -> None:
    keys: set[bytes] = set()
    for weights, inputs in (("", ""), ("1", ""), ("", "1"), ("0.1", ""), ("0.10", "")):
        found = space("mlp", "systolic", density=weights, input_density=inputs)
        keys |= set(found.keys(np.zeros(1, np.int64)))
    assert len(keys) == 4


def test_a_changed_file_is_another_point(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    row = "Conv1, 7, 7, 3, 3, 5, 11, 1,\n"
    path.write_text(
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n" + row
    )
    first, again = (space(str(path), "systolic").keys(np.zeros(1, np.int64)) for _ in range(2))
    path.write_text(path.read_text() + row.replace("Conv1", "Conv2"))
    assert first == again != space(str(path), "systolic").keys(np.zeros(1, np.int64))


BLOCK = Block(
    "mlp", "systolic", (), (("cols", "8"),),
    (
        Axis("network_batch", ("1", "2", "3")), Axis("chip_rows", ("8", "12", "16", "20", "24")),
        *map(Axis, SETTINGS, (("",), ("int8", "fp16"), (1.0, 0.5, None), (None,))),
    ),
)  # fmt: skip
OTHER = BLOCK._replace(network="alexnet", axes=BLOCK.axes[1:])
SPACE = Space((BLOCK, OTHER, BLOCK._replace(chip="eyeriss")), ("latency",))


@given(st.lists(st.integers(0, SPACE.size - 1), max_size=60))
def test_points_keys_and_columns_come_in_the_order_asked_for(asked: list[int]) -> None:
    ordinals = np.asarray(asked, np.int64)
    assert SPACE.points(ordinals) == [SPACE.point(one) for one in asked]
    assert SPACE.keys(ordinals) == [SPACE.keys(every(SPACE))[one] for one in asked]
    columns, whole = SPACE.axis_values(ordinals), SPACE.axis_values(every(SPACE))
    assert columns == {name: [column[one] for one in asked] for name, column in whole.items()}
    parts = list(SPACE.split(ordinals))
    starts = {id(block): start for block, start in zip(SPACE.blocks, SPACE.starts.tolist(), strict=True)}
    assert [one + starts[id(block)] for block, local in parts for one in local.tolist()] == asked


def test_digits_count_in_the_sizes_of_the_axes() -> None:
    # 47 = ((1 x 5 + 2) x 1 + 0) x 2 + 1) x 3 + 2
    digits = BLOCK.digits(np.asarray([((1 * 5 + 2) * 2 + 1) * 3 + 2]))
    assert {name: one.tolist() for name, one in digits.items()} == {
        "network_batch": [1], "chip_rows": [2], "dataflow": [0], "format": [1], "weight_density": [2],
        "input_density": [0],
    }  # fmt: skip
    assert list(digits) == [axis.name for axis in BLOCK.axes]


def test_an_ordinal_beyond_the_space_is_none_of_its_points() -> None:
    for ordinal in (-1, SPACE.size):
        with pytest.raises(IndexError, match="a space of 210 points"):
            SPACE.point(ordinal)


def test_a_space_comes_back_from_its_text_and_from_another_process() -> None:
    found = space("all", CHIPS, density="1:0.1:-0.1", input_density="0.5", batch="1,8", objectives=("edp", "area"))
    assert Space.from_json(found.to_json()) == found
    assert Space.from_json(found.to_json()).digest == found.digest != SPACE.digest
    assert pickle.loads(pickle.dumps(found)) is pickle.loads(pickle.dumps(found))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"schema":1', '"schema":2'), ('"blocks":', '"block":'), ("0.5", "2.5"), ('"8"', "8"), ("[1.0", "[[]"),
        ('"chip_rows"', '"rows"'), ('"weight_density"', '"density"'), ("{", "[" * 100_000), ("}", ""),
    ],
)  # fmt: skip
def test_a_text_that_is_no_space_is_refused_in_a_sentence(old: str, new: str) -> None:
    with pytest.raises(InputError, match="the space of this study"):
        Space.from_json(SPACE.to_json().replace(old, new))


STUDY = """
[sweep]
networks = ["alexnet", "resnet:depth={18,50}"]
on = "systolic:rows={16,32}"
density = [1.0, 0.5, 0.1]
format = ["fp16", "int8,conv1=fp16"]
objective = "energy"
batch = [1, 8]
search = "random"
samples = 100
seed = 7
layers = false

[[chip]]
name = "eyeriss"
rows = [8, 12]
glb_kib = "64:256:64"

[[chip]]
name = "gpu"
machine = ["h100", "a100"]
"""


def test_a_study_file_has_the_words_of_the_options(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    found = options(path)
    assert found == Options(
        networks="alexnet,resnet:depth={18,50}",
        on="systolic:rows={16,32},eyeriss:rows={8,12},glb_kib=64:256:64,gpu:machine={h100,a100}",
        format="fp16,int8,conv1=fp16",
        density="1.0,0.5,0.1",
        batch="1,8",
        objective="energy",
        search="random",
        samples=100,
        seed=7,
        layers=False,
    )
    # (1 + 2) networks x (2 + 2 x 4 + 2) chips x 2 batches x 2 formats x 3 densities
    assert found.space().size == 3 * 12 * 2 * 2 * 3
    assert found.space().objectives == ("energy",)


def test_an_option_of_the_command_line_stands_in_place_of_the_files(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    found = options(path, {"on": "eie", "seed": 0, "layers": None, "density": None})
    assert (found.on, found.seed, found.layers, found.density) == ("eie", 0, False, "1.0,0.5,0.1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sweep]\nnetwork = ['alexnet']", "no option named 'network'; did you mean 'networks'?"),
        ("[swep]\nnetworks = ['alexnet']", "no table named 'swep'; did you mean 'sweep'?"),
        ("sweep = 3", "sweep is no table; write [sweep] above its lines"),
        ("[chip]\nname = 'eie'", "chip is no list of tables; write [[chip]] above each"),
        ("chip = [3]", "chip is no list of tables"),
        ("[[chip]]\nrows = 3", "a [[chip]] needs a name, without its parameters, which stand below"),
        ("[[chip]]\nname = 'eie:pes=3'", "a [[chip]] needs a name"),
        ("[[chip]]\nname = 'eie'\npes = '8,16'", "'8,16' of pes has a sign of lists; write it as [8, 12]"),
        ("[[chip]]\nname = 'eie'\npes = {a = 3}", "neither a text nor a number, nor a list of these"),
        ("[sweep]\nnetworks = [['mlp']]", "networks is ['mlp'], neither a text nor a number"),
        ("[sweep]\nnetworks = 'mlp'\nsamples = 0", "samples is 0, not a whole number from 1 on"),
        ("[sweep]\nnetworks = 'mlp'\nseed = true", "seed is True, not a whole number from 0 on"),
        ("[sweep]\nnetworks = 'mlp'\nlayers = 'no'", "layers is 'no', neither true nor false"),
        ("[sweep]\nnetworks = 'mlp'\nsearch = 'gird'", "no search named 'gird'; did you mean 'grid'?"),
        ("[sweep]\nnetworks = 'mlp'\nobjective = 'latncy'", "no objective named 'latncy'; did you mean 'latency'?"),
        ("[sweep]", "a sweep is of networks: name them with --networks NAME,... or in a study file"),
        ("[sweep", "is not TOML"),
        ("x = " + "[" * 10_000, "is not TOML"),
        ("\udcff", "is not TOML"),
    ],
)
def test_a_study_file_that_cannot_be_is_refused_in_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(HwsimError, match=re.escape(said)):
        options(path).space()


def test_a_study_file_is_not_read_beyond_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(b"#" * (4 * 2**20 + 1))
    with pytest.raises(InputError, match="larger than the 4194304 bytes"):
        options(path)


def test_objectives_are_listed_once_and_the_larger_is_better_where_it_is() -> None:
    assert objectives("latency, energy,latency") == ("latency", "energy")
    table = {"seconds": [2.0, None, 3.0], "inferences_per_s": [5.0, 7.0, None]}
    found = losses(table, ("latency", "throughput"))
    np.testing.assert_array_equal(found, [[2, -5], [math.nan, -7], [3, math.nan]])
    assert {one.column for one in OBJECTIVES.values()} >= {"seconds", "energy_pj", "edp_js", "area_mm2"}


def beaten(one: list[float], others: list[list[float]]) -> bool:
    """The definition: another row is nowhere above and somewhere below."""
    return any(
        all(b <= a for a, b in zip(one, other, strict=True)) and any(b < a for a, b in zip(one, other, strict=True))
        for other in others
    )


TABLES = st.tuples(st.integers(0, 24), st.integers(1, 5)).flatmap(
    lambda shape: arrays.arrays(np.float64, shape, elements=st.sampled_from([0, 1, 2, 3, 5, 7, math.inf, math.nan]))
)


@given(TABLES)
@settings(max_examples=400)
def test_the_front_is_what_no_other_row_beats(table: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    rows = table.tolist()
    known = [row for row in rows if not any(map(math.isnan, row))]
    expected = [not any(map(math.isnan, row)) and not beaten(row, known) for row in rows]
    assert front(table).tolist() == expected


def test_equal_rows_are_on_the_front_together() -> None:
    rows = np.asarray([[1, 5], [1, 5], [2, 5], [2, 3], [math.nan, 0]])
    assert front(rows).tolist() == [True, True, False, True, False]


@pytest.mark.parametrize("count", [2, 3])
def test_a_front_of_all_its_points_takes_no_square_of_their_number(count: int) -> None:
    import time

    rows = np.random.default_rng(3).random((100_000, count))
    rows /= rows.sum(axis=1, keepdims=True)
    started = time.process_time()
    found = front(rows)
    assert time.process_time() - started < 1
    assert found.mean() > 0.999  # rounded sums differ by an ulp


def test_a_million_points_are_named_in_seconds() -> None:
    found = space("mlp", "systolic:rows=1:1000:1,cols=1:1000:1")
    assert found.size == 1_000_000
    part = every(found)[500_000:520_000]
    assert found.points(part)[-1].chip == "systolic:cols=1000,rows=520"
    assert len(set(found.keys(part))) == len(part)
    texts = list(itertools.islice((point.chip for point in found.points(part)), 2))
    assert texts == ["systolic:cols=1,rows=501", "systolic:cols=2,rows=501"]
