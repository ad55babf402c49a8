"""Numbers from text against `float`, bit by bit, and bytes from compressed and cut-off files."""

import bz2
import gzip
import lzma
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdbench.errors import InputError
from mdbench.formats._numbers import parse_numbers
from mdbench.formats._stream import ByteStream, peek

COMPRESS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def bits(numbers):
    return np.asarray(numbers, dtype=np.float64).view(np.uint64).tolist()


def digits(least, most):
    return st.text("0123456789", min_size=least, max_size=most)


@st.composite
def decimal_tokens(draw):
    whole = draw(digits(1, 21))
    part = draw(st.one_of(st.just(""), digits(0, 21).map(lambda d: "." + d)))
    power = draw(
        st.one_of(
            st.just(""),
            st.builds(
                "{}{}{}".format,
                st.sampled_from("eEdD"),
                st.sampled_from(["", "+", "-"]),
                st.integers(0, 330),
            ),
        )
    )
    return draw(st.sampled_from(["", "-", "+"])) + whole + part + power


@given(st.lists(decimal_tokens(), min_size=1, max_size=100))
@settings(max_examples=150, deadline=None)
def test_every_decimal_token_becomes_the_float_of_python(tokens):
    numbers, _ = parse_numbers(" ".join(tokens).encode(), len(tokens))
    expected = [float(t.lower().replace("d", "e")) for t in tokens]
    assert bits(numbers) == bits(expected)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=100))
@settings(max_examples=100, deadline=None)
def test_printed_doubles_come_back(values):
    for form in ("{!r}", "{:.16e}", "{:.19g}", "{:.20e}"):
        text = "\n".join(form.format(v) for v in values).encode()
        numbers, at = parse_numbers(text, len(values))
        assert bits(numbers) == bits([float(form.format(v)) for v in values])
        assert at == len(text)


def test_twenty_thousand_random_tokens_of_seventeen_to_twenty_digits():
    rng = random.Random(5)
    tokens = []
    for _ in range(20_000):
        n = rng.randint(17, 20)
        mantissa = "".join(rng.choices("0123456789", k=n))
        cut = rng.randint(1, n)
        power = rng.choice(["", f"e{rng.randint(-25, 25)}"])
        tokens.append(f"{rng.choice('-+ ').strip()}{mantissa[:cut]}.{mantissa[cut:]}{power}")
    numbers, _ = parse_numbers(" ".join(tokens).encode(), len(tokens))
    assert bits(numbers) == bits([float(t) for t in tokens])


def test_halfway_cases_round_to_even():
    tokens = ["9007199254740993", "9007199254740993.0", "900719925474099.35e1", "0.5e-323",
              "9007199254740995", "1.7976931348623157e308", "2.2250738585072011e-308", "4.9e-324",
              "0.000000000000000000000000000000", "-0", "-0.0e5", "18446744073709551615",
              "18446744073709551616", "99999999999999999999e-22"]  # fmt: skip
    numbers, _ = parse_numbers(" ".join(tokens).encode(), len(tokens))
    assert bits(numbers) == bits([float(t) for t in tokens])


def test_fused_signs_separate_numbers():
    numbers, at = parse_numbers(b"-0.63265286-0.11227753+5.e-3-7 ", 10)
    assert numbers.tolist() == [-0.63265286, -0.11227753, 0.005, -7.0]
    assert at == 31


def test_tags_separate_numbers():
    text = b"<v>  0.25 -1.5 </v>\n\t<v a='3'>7</v>"
    numbers, at = parse_numbers(text, 10)
    assert numbers.tolist() == [0.25, -1.5, 7.0]
    assert at == len(text)


@pytest.mark.parametrize(
    "word", ["nan", "NaN", "inf", "-inf", "*****", "--1", "+", ".", "-.", "1.5x", "1e", "1e+",
             "0x10", "1_0", "1.2.3", "é"]
)  # fmt: skip
def test_what_is_no_number_stops_the_reading(word):
    text = f"1.5 {word} 2.5".encode()
    numbers, at = parse_numbers(text, 3)
    assert numbers.tolist() == [1.5]
    assert at == 4


def test_only_the_wanted_numbers_and_bytes_are_read():
    text = b"1 2 3 4 5"
    numbers, at = parse_numbers(text, 2)
    assert (numbers.tolist(), at) == ([1.0, 2.0], 3)
    numbers, at = parse_numbers(text, 9, start=at, stop=7)
    assert (numbers.tolist(), at) == ([3.0, 4.0], 7)


def test_more_hard_numbers_than_fit_one_round():
    tokens = [f"{i}.0123456789012345678e-30" for i in range(1, 1000)]
    numbers, _ = parse_numbers(" ".join(tokens).encode(), len(tokens))
    assert bits(numbers) == bits([float(t) for t in tokens])


def content(path, size):
    with ByteStream(path) as stream:
        pieces = []
        while piece := stream.read(size):
            pieces.append(piece)
            assert len(piece) <= size
        return b"".join(pieces), stream.truncated, stream.fraction()


def random_text(n):
    return bytes(random.Random(1).choices(b"0123456789 .\n", k=n))


@pytest.mark.parametrize("suffix", ["", *COMPRESS])
@pytest.mark.parametrize("size", [1000, 1 << 22])
def test_compressed_files_give_their_content(tmp_path, suffix, size):
    data = random_text(100_000)
    path = tmp_path / "any-name"
    path.write_bytes(COMPRESS[suffix](data) if suffix else data)
    assert content(path, size) == (data, False, 1.0)
    assert peek(path, 5000) == data[:5000]


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("size", [1000, 1 << 22])
def test_what_came_before_the_cut_is_given(tmp_path, suffix, size):
    data = random_text(2_500_000)
    whole = COMPRESS[suffix](data)
    path = tmp_path / "cut"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    found, truncated, _ = content(path, size)
    assert truncated
    assert data.startswith(found)
    assert len(found) > len(data) // 3


def test_damaged_compression_is_named(tmp_path):
    whole = bytearray(gzip.compress(random_text(100_000)))
    whole[5000:5100] = bytes(100)
    path = tmp_path / "damaged.gz"
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"damaged\.gz: damaged compressed file"):
        content(path, 1 << 22)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "empty").touch()
    for name, message in (("", "a folder"), ("absent", "no such file"), ("empty", "empty file")):
        with pytest.raises(InputError, match=message):
            ByteStream(Path(tmp_path / name))
