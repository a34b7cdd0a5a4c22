import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polychromic.tasks.countdown.expressions import NotAnExpressionError, expression, parse

products = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=3), min_size=1, max_size=3)
expressions = st.builds(expression, products, st.lists(st.lists(st.integers(0, 99), min_size=1), max_size=3))


@pytest.mark.parametrize(
    ("text", "canonical", "value"),
    [
        ("7", "7", 7),
        ("3*2", "2*3", 6),
        ("9-2-3", "9-2-3", 4),
        ("9-3-2", "9-2-3", 4),
        ("5-2+8*3", "3*8+5-2", 27),
        ("8*3-2*5+1", "1+3*8-2*5", 15),
        (" 4 +  5*6 ", "4+5*6", 34),
        ("12*3", "3*12", 36),
    ],
)
def test_the_canonical_form_by_hand(text, canonical, value):
    assert parse(text).text == canonical
    assert parse(text).value == value


@pytest.mark.parametrize(
    "text",
    ["", " ", "-2+5", "2+", "2++3", "2 3", "2*(3+4)", "2+3=5", "2+3\n", "2/3", "2**3", "²+3", "٣+4", "2+3 end", "+"],
)
def test_what_is_outside_the_grammar_is_refused(text):
    with pytest.raises(NotAnExpressionError):
        parse(text)


@pytest.mark.parametrize("text", ["9" * 5000, "1+" * 5000 + "1", " " * 5000 + "1"])
def test_unreasonable_lengths_are_refused(text):
    with pytest.raises(NotAnExpressionError):
        parse(text)


@given(st.text())
def test_any_text_parses_or_is_refused(text):
    try:
        found = parse(text)
    except NotAnExpressionError:
        return
    assert found.numbers


@given(st.text(alphabet="123+-* ", max_size=12))
def test_the_value_is_that_of_python(text):
    try:
        found = parse(text)
    except NotAnExpressionError:
        return
    assert found.value == eval(text.strip().replace("**", "?"))  # python agrees on this alphabet


@given(expressions)
def test_the_canonical_text_is_a_fixed_point(found):
    assert parse(found.text) == found
    assert parse(found.text).text == found.text


@given(expressions, st.randoms(use_true_random=False))
def test_order_does_not_matter(found, draw: random.Random):
    first, *rest = draw.sample([("+", p) for p in found.added], len(found.added))
    terms = [first, *draw.sample(rest + [("-", p) for p in found.subtracted], len(rest) + len(found.subtracted))]
    text = "".join(sign + "*".join(map(str, draw.sample(product, len(product)))) for sign, product in terms)
    assert parse(text[1:]) == found


@given(expressions, expressions)
def test_equal_texts_mean_equal_expressions(a, b):
    assert (a.text == b.text) == (a == b)
